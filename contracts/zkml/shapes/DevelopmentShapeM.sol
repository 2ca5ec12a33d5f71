// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DevelopmentShape} from "../DevelopmentShape.sol";

/// @title Verifier of shape 32-64-64-32-16, of a development setup
/// @dev Generated from its verification key by `npm run zk:verifiers`; see `simulator/zkml/verifierSource.ts`.
contract DevelopmentShapeM is DevelopmentShape {
    function inputWords() external pure returns (uint256) {
        return 2;
    }

    function outputWords() external pure returns (uint256) {
        return 2;
    }

    function slots() external pure returns (uint256) {
        return 8883;
    }

    function basesHash() external pure returns (bytes32) {
        return 0x8707b232ebb335cdf86e43c38cdb159b7765a8fbabdd65e39e98fed0e19f9aa5;
    }

    function keyHash() external pure returns (bytes32) {
        return 0x366a8696ca189d842f1764e139ddd226e49b2a21087dcb95ec229d39f1d87cba;
    }

    function dims() external pure returns (uint256[] memory widths) {
        widths = new uint256[](5);
        (widths[0], widths[1], widths[2], widths[3], widths[4]) = (32, 64, 64, 32, 16);
    }

    function origin() external pure returns (uint256 x, uint256 y) {
        x = 0x0098bcba7aac7e89536118c47234b28bb670c6974d8f34b4b1f1bffce86868f7;
        y = 0x2aac2f9df17903e9695bb7f335f7f907f7ca7015e457546bd24358be0c9bade8;
    }

    function _signals() internal pure override returns (uint256) {
        return 5;
    }

    function _writeKey(uint256 tail) internal pure override {
        // within what the caller allocated
        assembly ("memory-safe") {
            // alpha
            mstore(add(tail, 0x0), 0x2b108caed91e266e2884b7a94c191eb1ef37f227085aba25387383578ec891e6)
            mstore(add(tail, 0x20), 0x036db6f0a0ac96a034245da2fd96a9cefb461bc64aa7294b3dcbe85a980a4cdb)
            // beta
            mstore(add(tail, 0x40), 0x08ce41aa38a50fa480926630940283b225b6193325a705188100d42c9189e2ce)
            mstore(add(tail, 0x60), 0x02d13ab063dc8b48a6b11d12e6b5efcde53ff287b457ee834df4e16da0947609)
            mstore(add(tail, 0x80), 0x1439789e82a686c77ec5b97df7d2a3de0f6766415c9c71e44042e6f0aa77a2ef)
            mstore(add(tail, 0xa0), 0x0e0ef4a1b100396759a890d9647538c0eb400bdd53f815138da1b5744531979f)
            // gamma
            mstore(add(tail, 0x100), 0x198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2)
            mstore(add(tail, 0x120), 0x1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed)
            mstore(add(tail, 0x140), 0x090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b)
            mstore(add(tail, 0x160), 0x12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa)
            // delta
            mstore(add(tail, 0x1c0), 0x09c809e1329135f27bed2861501c0d87f868af15936f5e2bb8b90cd06ab18c8e)
            mstore(add(tail, 0x1e0), 0x28b067b6287f35b561ea765af81ca5618dfe5e60f70a2f882993d60ca26dd245)
            mstore(add(tail, 0x200), 0x130b823b681e447eee1ae3e6f416c579165d5ce4f7a2b775a26745f83f46bd28)
            mstore(add(tail, 0x220), 0x090357e05d21d4fc269a167adf12239806728646a8370e814e3da267d5e750cf)
            // base of signal 0
            mstore(add(tail, 0x240), 0x2c82e39f840f116c0f4566298254373018dd0e41b76d32be3af54a8d645ce7e2)
            mstore(add(tail, 0x260), 0x1edafc8f6d9200489807aa1f4258b89866fef95ba8cbc192dbec6b44f806b9c2)
            // base of signal 1
            mstore(add(tail, 0x2a0), 0x21725704c93634c50aae7d430193db251428350ebb0fd5ec02ba94179cff99a3)
            mstore(add(tail, 0x2c0), 0x18cbaad534b9edfb27a83b1cc92328a64d074a4c589c334064d051ac1c711044)
            // base of signal 2
            mstore(add(tail, 0x300), 0x2f37ddd41276145794c5f4fb1bb9cd37a7818fcd327cf20990ac9a5c048240e0)
            mstore(add(tail, 0x320), 0x1d29f5e7713f4a2408d043a8f0e7a75d77b95f52c0cee2e6d88b690a4ee47c05)
            // base of signal 3
            mstore(add(tail, 0x360), 0x29d35b3bd99c0fe2b44427c6e590503e05f79a3bb78136d5dc59d4295015bca2)
            mstore(add(tail, 0x380), 0x2a03906cd899f62b0eb5f5141c410529fdf3990154abec45004a03332f2de821)
            // base of signal 4
            mstore(add(tail, 0x3c0), 0x24ad063770dc8bef2a78edbd9391c6b0dc4631adf4c9dfea50dceb5cfb8e434a)
            mstore(add(tail, 0x3e0), 0x1198b33e86321a39d25f17d9fd8f9b3301be968b0b1a7dee65dbbc119e786adc)
        }
    }
}
