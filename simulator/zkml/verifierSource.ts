import { keyDigest, type ShapeKey } from "./keys/ShapeKey.ts";

/** A word that a verifier writes to memory, at an offset from the place its key has there. */
type Constant = readonly [offset: number, value: bigint, comment: string | undefined];

/** Where Groth16ShapeVerifier.sol has the key's parts; the two sums lie between them. */
const AT = { alpha: 0x00, beta: 0x40, gamma: 0x100, delta: 0x1c0, bases: 0x240 };
const BASE_BYTES = 0x60;

/**
 * The Solidity of a shape's verifier: what `Groth16ShapeVerifier` needs of a verification key, as constants. The same key gives the same text.
 *
 * @param key Whose proofs it verifies. One of a development setup gives a contract that cannot be deployed to a public chain.
 * @param contract Name of the contract.
 * @example
 * verifierSource(key, "DevelopmentShapeS")
 */
export function verifierSource(key: ShapeKey, contract: string): string {
  const { shape, ic, basesHash, development } = key;
  const [originX, originY] = ic[0] as ShapeKey["ic"][number];
  const parent = development ? "DevelopmentShape" : "Groth16ShapeVerifier";
  const widths = shape.dims.map((_, i) => `widths[${i}]`).join(", ");
  return `// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {${parent}} from "../${parent}.sol";

/// @title Verifier of shape ${shape.dims.join("-")}${development ? ", of a development setup" : ""}
/// @dev Generated from its verification key by \`npm run zk:verifiers\`; see \`simulator/zkml/verifierSource.ts\`.
contract ${contract} is ${parent} {
${[
  constantFunction("inputWords", "uint256", String(shape.inputWords)),
  constantFunction("outputWords", "uint256", String(shape.outputWords)),
  constantFunction("slots", "uint256", String(shape.modelLength)),
  constantFunction("basesHash", "bytes32", basesHash),
  constantFunction("keyHash", "bytes32", keyDigest(key)),
  ...(development ? [] : [constantFunction("isDevelopment", "bool", "false")]),
  `    function dims() external pure returns (uint256[] memory widths) {
        widths = new uint256[](${shape.dims.length});
        (${widths}) = (${shape.dims.join(", ")});
    }`,
  `    function origin() external pure returns (uint256 x, uint256 y) {
        x = ${hex(originX)};
        y = ${hex(originY)};
    }`,
  `    function _signals() internal pure override returns (uint256) {
        return ${key.requestSignals};
    }`,
  `    function _writeKey(uint256 tail) internal pure override {
        // within what the caller allocated
        assembly ("memory-safe") {
${constants(key).map(assignment).join("\n")}
        }
    }`,
].join("\n\n")}
}
`;
}

function constants({ alpha1, beta2, gamma2, delta2, ic }: ShapeKey): Constant[] {
  const at = (offset: number, values: readonly bigint[], comment: string): Constant[] =>
    values.map((value, i) => [offset + i * 0x20, value, i === 0 ? comment : undefined]);
  return [
    ...at(AT.alpha, alpha1, "alpha"),
    ...at(AT.beta, beta2, "beta"),
    ...at(AT.gamma, gamma2, "gamma"),
    ...at(AT.delta, delta2, "delta"),
    ...ic.slice(1).flatMap((point, j) => at(AT.bases + j * BASE_BYTES, point, `base of signal ${j}`)),
  ];
}

function assignment([offset, value, comment]: Constant): string {
  const line = `            mstore(add(tail, 0x${offset.toString(16)}), ${hex(value)})`;
  return comment === undefined ? line : `            // ${comment}\n${line}`;
}

const constantFunction = (name: string, type: string, value: string): string =>
  `    function ${name}() external pure returns (${type}) {
        return ${value};
    }`;

const hex = (value: bigint): string => `0x${value.toString(16).padStart(64, "0")}`;
