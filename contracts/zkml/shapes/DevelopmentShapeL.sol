// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DevelopmentShape} from "../DevelopmentShape.sol";

/// @title Verifier of shape 64-128-128-64, of a development setup
/// @dev Generated from its verification key by `npm run zk:verifiers`; see `simulator/zkml/verifierSource.ts`.
contract DevelopmentShapeL is DevelopmentShape {
    function inputWords() external pure returns (uint256) {
        return 4;
    }

    function outputWords() external pure returns (uint256) {
        return 8;
    }

    function slots() external pure returns (uint256) {
        return 33090;
    }

    function basesHash() external pure returns (bytes32) {
        return 0xc15ca236d3bb9884884add5114a32e6f6473a0e785e83ce6ab67214dbaccf1e3;
    }

    function keyHash() external pure returns (bytes32) {
        return 0x2d9764d49522114a5b3345409a95098bde028ad7cbbf7e804979ec6b32e8d074;
    }

    function dims() external pure returns (uint256[] memory widths) {
        widths = new uint256[](4);
        (widths[0], widths[1], widths[2], widths[3]) = (64, 128, 128, 64);
    }

    function origin() external pure returns (uint256 x, uint256 y) {
        x = 0x0998142311eb0874eee86507189eab92fbf75a4bef72b7a41d280e84c3f8fca9;
        y = 0x11e14891a44f46873aff8849c284b627b14edaeff3278fb5776bcf5c7c415d25;
    }

    function _signals() internal pure override returns (uint256) {
        return 13;
    }

    function _writeKey(uint256 tail) internal pure override {
        // within what the caller allocated
        assembly ("memory-safe") {
            // alpha
            mstore(add(tail, 0x0), 0x2e4ba032b9861a2197bc5b52b46ab17f67a6ab7c8419dee1311af858071c5324)
            mstore(add(tail, 0x20), 0x1bc0cd9440d1d88c9b1dbdd9c88bda4af89f628dc14df6f0d3929a35176d48b1)
            // beta
            mstore(add(tail, 0x40), 0x2cfafdf6d5b4b15a39c406b9b5f6ef1422cd4e2a57a93fc1442797fd1d90de48)
            mstore(add(tail, 0x60), 0x2efe44202e7e2a1f70594226fd76076dc343567e213a9440e08d8a662dd8dd5f)
            mstore(add(tail, 0x80), 0x01e51a04b367b79a29b975433b092e47f4b893907b57d58dbfb82c67e2f62ceb)
            mstore(add(tail, 0xa0), 0x0fcd7a9810e8614974f8b52181e6bd7344bec8366d8f5627c6d80e90be454ebd)
            // gamma
            mstore(add(tail, 0x100), 0x198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2)
            mstore(add(tail, 0x120), 0x1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed)
            mstore(add(tail, 0x140), 0x090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b)
            mstore(add(tail, 0x160), 0x12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa)
            // delta
            mstore(add(tail, 0x1c0), 0x08415068d5df3780f97829335bcac6d984592ceeb8277571001ce81b8b291125)
            mstore(add(tail, 0x1e0), 0x0c35dbd2a7242aa982533cff47e80d225ff62560e20b14cf148e11bdcd0c4b2e)
            mstore(add(tail, 0x200), 0x047ce76f0f26e6f4198cbdbd450ecd0cbaa8b62ec31532aae02989476e66c378)
            mstore(add(tail, 0x220), 0x1329cfcbb71daddd85ca0cc4c1fd2f8523cb6397868bc0792d7d2b7cb9a4a481)
            // base of signal 0
            mstore(add(tail, 0x240), 0x2eaa22914665019c01e8e5c8f1c74a2583e312b8d01b6ea36c3a071c6a81a6df)
            mstore(add(tail, 0x260), 0x2240218938788bd7fa1d0346ea4b0d425ddec950b2fc77d5a6aa67a6dd0860fa)
            // base of signal 1
            mstore(add(tail, 0x2a0), 0x103951419781dfb65adb987e4c06ddb60f39aa04d4a7a105e2be2c07fd85106a)
            mstore(add(tail, 0x2c0), 0x1f366353d5c04926faa3d0fde722cb7b4f440f4236e7f3b83e8700125f9079a6)
            // base of signal 2
            mstore(add(tail, 0x300), 0x1cc78d999d343507292130a9199281796ee09a78a424d7b4cec215b1b0765e45)
            mstore(add(tail, 0x320), 0x13a53f2398fc4bbc96f4934b78a86bb050a8df866368346228c553bac88242d8)
            // base of signal 3
            mstore(add(tail, 0x360), 0x2273f5bc6a3edf5d8a2bc07fe9ae4b6da0015e80f3e2560e2c965641d77d2574)
            mstore(add(tail, 0x380), 0x0b8f144256b1522aab531be27878db5450b093ddf05d74b401f163729123b291)
            // base of signal 4
            mstore(add(tail, 0x3c0), 0x1df05b7d15eb3a04d9c8665daef75ed515f593f8ec53221002c2f03a3b533b1c)
            mstore(add(tail, 0x3e0), 0x1bcc76a6b186e0e27d27aa37826c4e2b2ea808fd16011cdfae102654cd15494b)
            // base of signal 5
            mstore(add(tail, 0x420), 0x03b348de3ab41ba281d369e96039e1917ca842432e2af451963396e8b88498c3)
            mstore(add(tail, 0x440), 0x2e571fd73200732ec8ecaa3df44fdae6241e81913e9602b7f0bd91b3739c0055)
            // base of signal 6
            mstore(add(tail, 0x480), 0x07bda2f46bcc6af7f9c45a28e058dba0e287b35d54e97728842f31b1b8ef9360)
            mstore(add(tail, 0x4a0), 0x27fee5f4f7805aa0c1d872ffdd6aa1acdae9cf920c8e45b079cbb26c716df6e9)
            // base of signal 7
            mstore(add(tail, 0x4e0), 0x152d913dcf80290864777bcec747519b7bcee1cfa378b43f27a6e843a0c4c895)
            mstore(add(tail, 0x500), 0x02b3aac4ff137b6c930fb8f096afb263832f4a3b414dab16dccfe32ad1ce8ea5)
            // base of signal 8
            mstore(add(tail, 0x540), 0x27a95d3d27b90fda5b4e06850c64ea0d4820e8c8da355a0bca29d356202c7d62)
            mstore(add(tail, 0x560), 0x247fcc69cedf9fe602e209119140c237da4586d9d81a99fd16c5636c68b3f849)
            // base of signal 9
            mstore(add(tail, 0x5a0), 0x1d6c66f1c5148050e9e4fda7cf1bf82a3672eed4f04916e3079c898ee2d7de59)
            mstore(add(tail, 0x5c0), 0x1002b34e3aaac94d0393cbb141d0b96390d0b61ad528c4c1b4fd1f2e96d79ce5)
            // base of signal 10
            mstore(add(tail, 0x600), 0x01cc9b355960eb811c4f883c224628a75c53834702daeb78d8c0e4cb030a15d5)
            mstore(add(tail, 0x620), 0x08fb68d1a0d5266c95208bcf98d26fab6e16a9e078c2314234f7c8d71e345152)
            // base of signal 11
            mstore(add(tail, 0x660), 0x03cda82b832a50bb69aa30be71cc966857a6dfae56fe14861662fcdf4e102f10)
            mstore(add(tail, 0x680), 0x0f7394a31e2e4f3e2c543400f885ccc08dcbf130e5b291a498bb6e19897d908f)
            // base of signal 12
            mstore(add(tail, 0x6c0), 0x030b15f5f45e624cf673c7d07977bfe37643961cc91564f4ffb2c565e5dacb2d)
            mstore(add(tail, 0x6e0), 0x17934ed9646133fa7137c6502efc7bc054cdf54051ecefe38f847be3950dfb4b)
        }
    }
}
