// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DevelopmentShape} from "../DevelopmentShape.sol";

/// @title Verifier of shape 16-32-32-16, of a development setup
/// @dev Generated from its verification key by `npm run zk:verifiers`; see `simulator/zkml/verifierSource.ts`.
contract DevelopmentShapeS is DevelopmentShape {
    function inputWords() external pure returns (uint256) {
        return 1;
    }

    function outputWords() external pure returns (uint256) {
        return 2;
    }

    function slots() external pure returns (uint256) {
        return 2130;
    }

    function basesHash() external pure returns (bytes32) {
        return 0xa13010556b87c6d82f1bce7719e2166b7cf7ba85470188d126800a1284fefea9;
    }

    function keyHash() external pure returns (bytes32) {
        return 0x0aec1926e613523d90f23d3dae948c190ea22d54c44aaafb2caab8a83e2e337f;
    }

    function dims() external pure returns (uint256[] memory widths) {
        widths = new uint256[](4);
        (widths[0], widths[1], widths[2], widths[3]) = (16, 32, 32, 16);
    }

    function origin() external pure returns (uint256 x, uint256 y) {
        x = 0x192206218427f72ad4cdee013c0e9cecbcc5e034a9be4c7e5319bd9ba7fb32e6;
        y = 0x168d43483663d5f7d626674f10ea9064bbb50e1ff54db7f3f6611464f6d4090e;
    }

    function _signals() internal pure override returns (uint256) {
        return 4;
    }

    function _writeKey(uint256 tail) internal pure override {
        // within what the caller allocated
        assembly ("memory-safe") {
            // alpha
            mstore(add(tail, 0x0), 0x0eedccd8af388a30d6d21d13400e389e21c93723e5336facbc9f6e45cc9cb1a6)
            mstore(add(tail, 0x20), 0x2a84f0951e7aaeeab128aed73e9ca62969656bffc08df59c2b4283d143bffce1)
            // beta
            mstore(add(tail, 0x40), 0x276491fc7cccfaede146a57a8e1d70a27e89fb0ffe2ddab425b5573cb1543a7a)
            mstore(add(tail, 0x60), 0x05355b52169f83ce151e9544d301a4da0ba5814426742941e09ae6da547b1e6f)
            mstore(add(tail, 0x80), 0x222f7d3d932e6e46d430890f877c642c262e80e938813a4addfed4c7faa747c1)
            mstore(add(tail, 0xa0), 0x2ac3534213a555d74e8722d5c31c2b6e47f4f1a3a8a570974a89a1b6aa4026cd)
            // gamma
            mstore(add(tail, 0x100), 0x198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2)
            mstore(add(tail, 0x120), 0x1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed)
            mstore(add(tail, 0x140), 0x090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b)
            mstore(add(tail, 0x160), 0x12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa)
            // delta
            mstore(add(tail, 0x1c0), 0x1d76cd354890c096f68d841745df68e5750da071e598d0bf3448d7e635687f84)
            mstore(add(tail, 0x1e0), 0x1696b617a463c47dae310567abc16822f6dd8f9308c60a98dc858aafa4376c30)
            mstore(add(tail, 0x200), 0x13833045bd927d3fd1e883bf84e42ee5377d192c585f79b2b80cb1b35c3a7e26)
            mstore(add(tail, 0x220), 0x294db3c13fc32ec0eb1967d7131edb5a33e6f925c179bed210d6917446067997)
            // base of signal 0
            mstore(add(tail, 0x240), 0x2531932bd96fc5a43510448f4d4965e342ce2c9ab1309b16fb43d6b30d92d108)
            mstore(add(tail, 0x260), 0x10151e46a3a26b77dcdf2b1821275cb07fb0ea817184dee24b8b96ed9fab849a)
            // base of signal 1
            mstore(add(tail, 0x2a0), 0x10368a14ca6f9606eeeaa7d580dbab94a3d57cfeda35f076e571958d2ffa4c7d)
            mstore(add(tail, 0x2c0), 0x1ffa0866321ef635227f445a035181124ac60c6d48ba7365ad458649462ec99d)
            // base of signal 2
            mstore(add(tail, 0x300), 0x28e6a8ef97d0d80cdf03d5e365cc083701f714a8a5da0369477b19f4bffaf42c)
            mstore(add(tail, 0x320), 0x03692215b17790d7f727ed939587d622e8d2bd624f5c0b0ea1c53f84fb5a06f2)
            // base of signal 3
            mstore(add(tail, 0x360), 0x08acc2df8e93389c6a433ef7f24f62d58fe1b7c364b22591fdbd3d4805964d16)
            mstore(add(tail, 0x380), 0x230fe4f7e4fcf3656917a2888e2e352d283048b10f22d5d5fa895b7f828576bd)
        }
    }
}
