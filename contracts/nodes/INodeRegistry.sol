// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Role} from "../staking/INodeStaking.sol";

/// @title Identity of nodes
/// @notice Who operates a node, where it is reached, where it is paid, and which keys sign its receipts. A key is valid from
/// when it was added until it expires or is revoked, and a receipt is judged as of the moment it was served: what a node
/// signed while its key was valid stays valid for ever, and nothing dated later ever is.
/// @dev Keys of enclaves, which sign in mode TEE, come by attestation: `IEnclaveRegistry`.
interface INodeRegistry {
    /// @dev slot 0: operator 160 | role 8 | enabled 8 | registeredAt 48; slot 1: payout 160; then the endpoint
    struct Node {
        address operator;
        Role role;
        bool enabled;
        uint48 registeredAt;
        address payout;
        string endpoint;
    }

    /// @notice Half-open interval of validity, and the modes a key may sign: bit 0 VANILLA, bit 1 ZKML, bit 2 TEE.
    /// @dev slot: operator 160 | validFrom 40 | validUntil 40 | modes 8
    struct Signer {
        address operator;
        uint40 validFrom;
        uint40 validUntil;
        uint8 modes;
    }

    event NodeRegistered(
        bytes32 indexed nodeId,
        address indexed operator,
        Role indexed role,
        address payout,
        string endpoint
    );
    event NodeUpdated(bytes32 indexed nodeId, address payout, string endpoint);
    event NodeEnabled(bytes32 indexed nodeId);
    event NodeDisabled(bytes32 indexed nodeId);
    event SignerAdded(bytes32 indexed nodeId, address indexed key, uint256 validUntil, uint256 modes);
    event SignerRevoked(bytes32 indexed nodeId, address indexed key);
    event MinimumStakeSet(Role indexed role, uint256 amount);

    error NotOperator(address caller, address operator);
    error NodeNotFound(bytes32 nodeId);
    error NodeIsDisabled(bytes32 nodeId);
    error InsufficientStake(uint256 available, uint256 required);
    error InvalidPayout();
    error InvalidEndpoint(uint256 length, uint256 maximum);
    error SignerTaken(address key);
    error SignerConsentMissing(address key);
    error SignerNotLive(address key);
    error TooManySigners(uint256 maximum);
    error InvalidValidity(uint256 validUntil);

    /// @notice Registers a node of the caller, who must have the role's minimum stake bonded.
    /// @param payout receives what clients pay this node.
    /// @param endpoint base URL, at most 256 bytes.
    /// @return nodeId hash of chain, registry, operator and a counter.
    function register(Role role, address payout, string calldata endpoint) external returns (bytes32 nodeId);

    /// @notice Changes where a node is reached and paid. Its operator only.
    function update(bytes32 nodeId, address payout, string calldata endpoint) external;

    /// @notice Takes a node out of service and ends its keys and enclaves now; what they signed before stays valid. Its operator only.
    function disable(bytes32 nodeId) external;

    /// @notice Puts a node back into service. It needs a new key: an ended one never comes back. Its operator only.
    function enable(bytes32 nodeId) external;

    /// @notice Adds a key that signs VANILLA and ZKML receipts for a node. Its operator only; at most four live keys a node.
    /// @param key its address; it belongs to this operator for ever.
    /// @param validUntil unix seconds, exclusive.
    /// @param consent the key's EIP-712 signature over `SignerConsent(bytes32 nodeId,address operator,uint40 validUntil)` in
    /// the domain {name "OpenGradient", version "1"} of this registry, so that nobody can take a stranger's key.
    function addSigner(bytes32 nodeId, address key, uint40 validUntil, bytes calldata consent) external;

    /// @notice Ends a key now. It does not reach back: receipts dated earlier stay valid. Its operator only.
    function revokeSigner(address key) external;

    /// @notice Sets what must be bonded to register for a role. Owner only; registered nodes stay.
    function setMinimumStake(Role role, uint256 amount) external;

    /// @notice The operator a key signs for in `mode` at unix second `timestamp`, or zero.
    /// @dev Named so that its selector is among the first in the dispatch: settlement and escrow ask for every receipt they check.
    function findOperator(address key, uint8 mode, uint256 timestamp) external view returns (address);

    /// @notice A key's operator, interval of validity and modes, as of now: revocations end it, and attestations prolong an enclave's.
    function signers(
        address key
    ) external view returns (address operator, uint40 validFrom, uint40 validUntil, uint8 modes);

    /// @notice A node's record; all zero when there is none.
    function node(bytes32 nodeId) external view returns (Node memory);

    /// @notice Number of nodes ever registered for a role.
    function nodeCount(Role role) external view returns (uint256);

    /// @notice A page of the nodes of a role in the order of registration, disabled ones included.
    function nodesOf(
        Role role,
        uint256 offset,
        uint256 limit
    ) external view returns (bytes32[] memory nodeIds, Node[] memory nodes);

    /// @notice Keys of a node that have neither been revoked nor, as of the last change, expired.
    function signersOf(bytes32 nodeId) external view returns (address[] memory);
}
