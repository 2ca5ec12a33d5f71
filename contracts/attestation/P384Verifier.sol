// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IP384Verifier} from "./IP384Verifier.sol";

/// Hint-free ECDSA P-384 verification. Field arithmetic is pure EVM (Solinas reduction for
/// p = 2^384 - 2^128 - 2^96 + 2^32 - 1); MODEXP is used three times only (s^-1 mod n, one batch
/// inversion for the window table, two products mod n).
/// Standalone contract: owns the whole memory, returns from assembly.
contract P384Verifier is IP384Verifier {
    // table of i*G, i = 1..64, filled by the generator
    bytes internal constant GT =
        hex"aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab73617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f08d999057ba3d2d969260045c55b97f089025959a6f434d651d207d19fb96e9e4fe0e86ebe0e64f85b96a9c75295df618e80f1fa5b1b3cedb7bfe8dffd6dba74b275d875bc6cc43e904e505f256ab4255ffd43e94d39e22d61501e700a940e80077a41d4606ffa1464793c7e5fdc7d98cb9d3910202dcd06bea4f240d3566da6b408bbae5026580d02d7e5c70500c831c995f7ca0b0c42837d0bbe9602a9fc998520b41c85115aa5f7684c0edc111eacc24abd6be4b5d298b65f28600a2f1df1138251cd52ac9298c1c8aad977321deb97e709bd0b4ca0aca55dc8ad51dcfc9d1589a1597e3a5120e1efd631c63e1835cacae29869a62e1631e8a28181ab56616dc45d918abc09f3ab0e63cf792aa4dced7387be37bba569549f1c02b270ed6711de24a2c251c777573cac5ea025e467f208e51dbff98fc54f6661cbe56583b037882f4a1ca297e60abcdbc3836d84bc8fa696c77440f92d0f5837e90a00e7c5284b447754d5dee88c986533b6901aeb3177686d0ae8fb33184414abe6c1713a627be1acd064d2b2226fe0d26f2d15d3c33ebcbb7f0f5da51cbd41f26257383021317d7202ff30e50937f0854e35c5df09766a4cb3f8b1c21be6dda6c14f1575b2c95352644f774c99864f613715441604c45b8d84e165311733a408d3f0f934283c1d7365ce4788f29f8ebf234edffead6fe997fbea5ffa2d58cc9dfa7b1c508b05526f55b9ebb2040f05b48fb6d0e19475c99061e41b88ba52efdb8c1690471a61d867ed799729d9c92cd01dbd225630d84ede32a78f9e64664cdac512ef8c1692778ea596e0be75114297a6fa383445bf227fbe58190a900c3c73256f11fb5a3258d6f403d5ece6e9b269d822c87ddcd2365700d4106a835388ba3db8fd0e22554adc6d521cd4bd1c30c2ec0eec196bade1e9cdd1708d6f6abfa4022b0ad28f0a39a4049bcb3ef1bf29b8b025b78f2216f7291e6fd3bac6cb1ee285fb6e21c388528bfee2b9535c55e4461079118b62c77e1438b601d6452c4a5322c3a9799a9b3d7ca3c400c6b7678854aed9b3029e743efedfd51b68262da4f9ac664af8a669c5563bd67eec678d29d6ef4fde864f372d90b79b9e88931d5c29291238cced8e85ab507bf91aa9cb2d13186658fba988b72ae7c1279f22d9083db5f0ecddf70119550c183c31c502df78c3b705a8296d8195248288d997784f6ab73a21dd099056e27da7b998da1eeec2904816c57fe935ed5837c37456c9fd14892d3f8c4749b66e3afb81d626356f3b55b4ddd82e4c0c234e30ab96688505544ac5e0396fc4eed8dfc363fd43ff93f41b52a3255466d51263aaff357d5dba8138c5e0bb952a7a349bd49289ab3ac421dcf683d08c2ed5e41f6d0e21648af2691a481406da4a5e22da817cb466da2ea77d2a7022a0320faf84b5bc0563052deae6f66f2e09fb8036ce18a0ebb9028b096196b50d031aa64589743e229ef6bacce21bd16ea567ba97b67aea5bafdaf5002ffcc6ab9632bff9f01f873f6267bcd1f0f11c139ee5f441abd99f1baaf1ca1e3b5cbce7de1b38b3989f3318644e4147af164ecc5185595046932ec086329be057857d66776bcb8272218a7d6423a12736f429cce8c8f94d44fbc2396bbeac481b89d2b0877b1dffd23e7dc95de541eb651cca2c41aba24dbc02de6637209accf0f59ea0891ae44356fc8ae0932bcbf6de52c8a933b86191e7728d79c8319413a09d0f48fc468ba05509de22d7ee5c9e1b67b888b3d13fc8b32b01058cc15c11d813525522a94156fff01c205b21f9f7da7c4e9ca849557a10b6383b4b88701a9606860b152919e7df9162a61b049b2536164b1beebac4a11d749af484d1114373dfbfd9838d24f8b284af50985d588d33f7bd62d5d89c3b5282369c5fbd88e2b231511a6b80dff0e5152cf6a464fa9428a8583bac8ebc773d157811a462b892401dafcfd815229de12906d241816d5e9a9448f1d41d4fc40e2a3bdb9caba57e440a7abad1210cb8f49bf2236822b755ebab36734099952208b4889600a5ebbcb13e1a32692befb0733b41e6dcc614e42e5805f817012a991af1f486caf3a9add9ffcc035ecf94777833059839474594af603598163ad3f8008ad0cd9b797d277f2388b304da4d2faa9680ecfa650ef5e23b09a0dfb1fe3a40f7ac9b64c41d39360a7423828b97cb088a4903315e402a7089fa0f8b6c2355169cc9c99dfb44692a9b93dd453aca1243b5ec6b423a68a25587e1613a634c1c42d2ee7e6c57f449a1c91dc89168b7036ec0a7f37a366185233ec5228d481dab912bc8ab16858a211d750b77e07dbecca86cd9b012390b430467aabf59c8651060801c0e9599e68713f5d41ba1592ff0121460857be99f2a60669050b2291b68a1039aa0594b32fd7adc0e8c11ffba5608004e646995b07e75e52245605508ec02c534bceee9484c86086d2139849e2b11c1a9ca1e2808dec2eaf161ac8a105d70d4f85c50599be5800a623f5158ee87962ac6b81f00a103b8543a07381b7639a3a65f1353aef11b733106dde92e99b78de367b48e238c38dad8eedd27935df4e25c6f47c7817121057d46e1606290985f8283f5f9936136bf42cdb746a37313df88fd64626b4c175eb77422380a1a3b4898d4cd9ab1a3798d1e3524a4f2d4aec079c6b7585d9c4e6c615b532b6f8d9838ef0c139d5606eb10c69f841a3abc4dfb1d29d848746b20fe44656bc320904bf33c4192c00e43cbf53606dee42d354877204a5831f375ccf9ada337e3495c212d49391071c0a205b859099df8c43d1adb80aff2bc143c1799d794422d00706b0088275da8b97510b3d6d0593cb647a5df014c23e741a4a8000d5eb822c0102fd4293a78a68749c30c7f9aa484a900a91f7c4ab51e555ebc684aac8128300479a8f88dd04966f85ebdc18cb46103c7b0218bc8377afbf0557ead636809be21f6414b9be279b65fea0d5a2b140b2b78bdb399c17bb3c12c1dff5b51a9f826f0160455eccb7f4ba75043f7ce6b133f171d399bb367b8fc503a52c7119d3b5be6405e1870d1635f15854e75794de94f1a29419a8d53bd117eee446d0af1c0a9f63186f66b5184cebd4446c46830e4c6d5cb9183a6709ee9eb526794676207c4d76fab5ce0a3555746bd28fda97431a8a58b3dcb2ca446f41be83716be9aa37245523aa57845c0027f165dd74ca95942e18d15922f206280b8afe5d6a5a209a957bbac49722cffaf54d7e6aac89788dae96dc76ab8cb2b88d363d1fceec6a4373c71c90399a7cebbb25a07792c4314fcdf3bc85652769c2cd48bb6526e80bd76c842440fa34bbb53ed12010ca160cd65c4469a70a99c6a741314cb6118cda184323e0cc4aa90790618528ba5979a9c5fa2c13f418e623c316d5a82c8b70508e3acaa2b4a8d3a4acb49c0d7ba04e220761bc15898e1b06b4eedfa23e2e546f641de0cb075851a5afe81503cb7bf6194fdf1b7da9e59556f015651bd9218e30ef2c4b2213f519b529fb56479f487521f1eebd69cfac8d8d63fd685f9fe8d6bd99ba6fb33270854c8bade1c652b661b64f1d4fefa439e57c7e6a187c296ce283fd42332af05a93a24c695bc78c48efffc3ac147611eacb16c02c48e105ef0d2d93fbe57b32a2af746d7ca5dcb307e14f1bc35f9656c6eead7b75810ce554ee56e0af4f41cbcde50fa46d04f4d4dfca2ad69e407f57b1e27977bb83b1eb1a3732458497a559bcdccf733c547c0f2b3dc8d7aec776d94fc70531f70960a30e8383ffe8f5147848a0e53e0d05ef28faf29d43bef39667b4579be8d64327f27b3e7a5e64b4d7661e143ba3b0775f23dd1321ffb816b13a131da163d59596752a5bf06d2872900beeb729165b49d069fe5da875f11540a4044896063311e47b150edcb1f76487340e47a0b6f05af2ff43553f2e6f06f0ea533e804fcfa12c087d446c73e3336394c98c59d3993124d374e62061fa485bd1b8a650c8361dba9eb28b98f86e464c200bc46f9e442612fcffbd14a041a8651780d313fb0b9ac114251cd3e8802c6d2fc9ebf3152f5ba7852680c7f7356c5e0fbc6678bab99df1fd9b2b49f81618d6d99af63612ccf2cc4acaf5c44819b88e217ecd3cce82fe55ff86ed6e003b31de2050a4a43d1a5fb9b4ca6622bc55e5de0c3e6f2ea6b40995968c751c75d1513aa614bc253ee2ce86961877b38dbd58238c21bbca92758f2773bb6c955492715879f54bdaf246b3f70bec90d631eaed97add3fe2aefd7fec482c802a828c26694df8188912a77e148373d30feff54a716511f5f17b86f2aba9bd9527d3145ea7abbf4370599a066726d333bb1aee48c2f0f4678b942a66ccd2385edbd1831e58722e5d974aa2569489b3a75599741028cd1141c4266e9778df65df0fd708b891d689453b9f0d45bf1dc647138b1f34923b129e3f4766b3b5874440ee54767d26bdb994c5fd0f8850a10f650277c12dceca498ff99b9863d46535a5abc3675bf4f728f3ac55a0270e5859145dc998b7fd7b3813ca29e4ae10ae1410eaeee351bc34276d3ad302f0d0bd10269e396e7fb8964f430400487a48cee2b22cc20c5f0bbef2267335747e089cbeef77bc7f0d480a8627fcdcbdf8371a720e49499d70a40ba07ccda1159432b4aa3c9ff05c7a3bcce6bb083bf618c1f6729597be9f24404081a7248d7b35b54e6d08cc2a0f0293a34b11b4fcdab03995fb4b3e8ed3f88d40f10cc69b327a19f2675d7b1221b1e1be96dfe8fdb4300af2deaadcd850ac1e45c8fcb941c36c0122a10654e56ba2d9cafcb4482a07272d05de389d50b225fa8a5ed8381ad8460e2e216618059953dd8965d97db233124188d17ebb5f4f2a9231bf6723533ffb21939dd273081dd3666a57be69b8d22bf15ec27b014b32060b20f018c3f0467a5eb8c359725c7bb4e179bb42b5acf9732879a8bc72607f2d46f5f3e8cd4b375f0810596288a461bf9202e7cf9ad4d616fa567566b39a925dd3c89e25cafc45139db0afa03e9bc6b654362621678224c2dcc11702de31c65d0bd2d3642c35b72c15f264347c4983e9bc8a47b24d15ac797ea8f8fedb4482f093849864ec7147eed091efb368dba18218185770c722e5893043a248bf6ad799aed585d888c0979304abbcfcd437cf990dee523641d57328fb34cdf4dbd3795a0b7df5072f1c67e1a4991b2d388809a316e9abf06d301d2ae1c1283ec16f1e8aadeca6573e073058459ea96f6ebeb7888f04e7337a6e44104c907e773faa32b3075527675b1676f6207ed89b102ce37b2917ad0d5c411a5ed920a88b095185d456b279a18410d10234b609b8c7077b05ca6a94f76d10f3f39e87c76293bf27e3e07ba0ebb9dabde6f484adc04fbab5b7b88f8035478208f6db859227bb4dda48b4fa5d1dfdcf8a7d7be2a7607ee035e8b33efae0987f6b994529285be4a9d55093d2b9c155c086e2b3c025a8c1c860097bb529b268b7ff95719518ac0a97ec427650d600ee6cb34cd52ca0939b67b1549fa42eb2b56bc12979167a090075510dffbc395a4b6e04bec3a3ec4ae99c3adb9111fe252ca5a2ff485cf5a64f4de52ef9689a5eb5aba8ddfa4745a605aa49a4148fbebc6780dddc249a26a33d83e8d95f813af4db50b9f80b22b4829a69dcb8452f0576634c69c4c0108a6a32dbae5b8175af7420344000dc473550613a67a337e9f9801a467c5ab6d69a1f94757634a28a2d794c0abe75b32c89fc4182cfcdb920e29ee6228d345d53f529c0c87674b4822229d425aac1d9a5d9053d73853e145a21312cd3f31ba3fc9e60e068eea87d25b1d7a1d713facab8a030e36ce3bf11431d1d9c3bce43bec4f4609eadd9c644fd8393e3258449c2e28cd17cb03d491de84ea016a5b68a56bbfef50fc3325e274b23604e7c76075539542abd918800e37b4e4aa858d74fe2bc8777e08105da32421e5cfe36dde9917c570471ebdbf7a1fbd628764fbb7a168061b8c7c6e3211321841d9ae8e9bece5debbbd3a33fac59a8097c72fa4c28f0bb83b8f83019decdffb3e81cf0b8083e208073c5ab6d343d27f0b3bfd0051160a6f0bc1cbf2464ba9df39de6f05fee339ebd90451273f595eaba5df1a06f4ca5fa30e0bcc870bf64c76762c0e2a9530742a384f121e9e8ccc22e6b2cd5254db0689a30fe62737fc8fe0818cba0db552ca682b49fa1afe32ae0ca83c213cce2421581486ca7147a032edfc8b0cbdaf9963d58f4ceeb967d99bfe2cdfec7d895a5b4edde398642eb77303050301fcabe3798c46ace66629c442ca537cc68701396222c0089e93e5d26e4de442a3f23a7177d6419daa55a0fc9db0ff8a6ac1b2a2b31a411ef40d943c576799210792d6a2f8cb58f46a6c36459d1243ff7f504f32fc1211afd7486cc53003ed182dd74d976a49117348828f5b191d03d1c9da43e8e5a0e8cf258279fcdf96c71d91cebd105c28a71d00bd72553fa3365b422899f57821ad25b38a1bc0bc57b89f62e6ddb768c63b40aae98b89e108d372ac57c52eed44931f735cc34c5b98037cff20c1c93b6706101dd56a283b13f9a29cf0106d9107660d762e97c1ae6f81e242905070fe16e3e0711f95e8da1954cff864fe475bde033e7308682829a9ce29ea439118f89027c498bc6057da46fdafba86d2c9e23c2f5bc0b4a2a1247e8f2cc7126ed3b510b0341a618a8cc08d1b992ffe06fbae0068fb0fea19f27f6881a60fbf2a22fd1f1985d777fe7595994ae0d42fed20299ce970554c6d084dd6077f56cb597b8e22c2ce9e217fd47cff91786a8eb87b0cf545dca6a0eca0fa0bbdc7aaad84294bd6fa726a3131880b817b7828611cae7d96a1985c28353bbedab27baa7cfb7be82e1cadb6e123cc117b4508de5822815740d284603f44676d6a06cd5df4b4ed962b25037a0e5cd10144167c592288353932cf40888e935bdd5f169ba8f41cbe07c3e20b6ff2ca2a90bdc08ac90903c9d776e9fa3120de79718d154feaa542f5c1e7ce4bed6396c943a16024ee7dbf0ae17f7fd0a0c9dcbea9d4197aafc5c555ade9e587ebb0ff1b32114d1740890f276e61f8041c55c05c89ed8af7c8776542902a392ad231a5a3dda24dffe6b2de3474fadeb4e46fef980122ffbf385844b0fb2d92be15a668d05a957eb5ff29b7c2d30109c70f2c3a60087864093d1041d10434f7032a059cd75571b3507307d064e7750ab08f36d925a4f0112f5f22f519eeae1eb0130d0a0e2e2ee7c873bb25771ff2b4f8540f6ae62c5a75f70026d8cebfcdfc32efc311351556408ff0fa0147d878235aaa880c76b8849bcd5aec87aa569c8d6cc2d56e829a6fb82c64a4697d960af951e9067ae91f926d34306da48a8aaeb7869b6a67e6d27426e0442aa03b36e1988dff636514ee1cf07f5ba4b3ff2a06645ae7d31d5866ad31aa3d246eb0b3177ee99cb7566c516ce74808a668f91f0c47fca8654ddc7eb10d5a84f1cec9879cabece6c3eb8b272461fc778baa6599653227907fd3823a2b10416709d6a38b6ecb8bd3127066c11092e88830567af763ec9d0742599e648fd7ea47d1d13d1aa1c7e4088d6dbd5abb99b51b867bea8e35785492dba210e4d863e5dd6b431f835c444c8fa54c48cf585a1ee081f91a2141db69c5ee6baa05a4f63e8ecedcd4f9e4d8bcd39e1d4db25fbe304b142563a398eb46fdddcf31926b7291e221acafad77c6f9918928b79530be249e12b28e0683ab0a6cc42cb6ad9f7161a4296f482176d1b0191e7691569202b98a2b93e41e5a75d8abbf7b15b29f59772ba77d70f99fe20b0bbd6bb6bad8516d391646e65069fa685ea4223f449e3895ec23168cdfb54deb9182916746338781dda74d5345e24d63f22f2d6f4248636552c2f806ca08d835bf6c15cd3df2f83cff6ea265604a50599458e0d6d3f0d7daf3a81734e1a5b276a6ef18b660c2e6081e886affb20d498900a3a587c8708464ddb41dd6f56b6c8f3726b3e968c4764b22c2f95f47c81be700a12151e620a81a2870b7900c1c476895f729644b4fa011fa92542dbf5872edcb5e5a6d1fb4071db5c24cc10bda2cc75857c802960eaebb7e15002475bc0a80c4479d4c75bb1d9f1cf6593451a9a069884fb986767fb8c48a13e157ec5a3e83cfad756f52978ca376b086258bfaaac8a3a42d10c5d6cb507c8ca4c2efce2a9692f29d569dcf86b74aacc18a3c5d13f84b7ab1300756bca999ce6cbede28f0e8ce434752f57dad2ddb89094adcbd9cc9b2d4686a37a566e2cbee9f3fa5a0f85c7b32e89eb942aab112cae508f5164ca6cac334769de358b333c968cfbb83c8f7b941560583def5431afd574f7e008f8afb1e3ae7166d9710324e2bf69603ffd5ba770fc48b73edc0679cddd7a0499009535daedff59e74a1ac81abe0944e11e2cc1e179aa178a780046e35841766073612ea5e5abd26608f259a599fc9a8425a3ea639d94cbe63fde1d69c70f9327605fc3842f6e4dbca6d609ba6171650371b2adc07640a2420eabf7e8291eafa21b56eef31860c20ddeb88b45f0b4856f8ea5";

    /// @inheritdoc IP384Verifier
    function verify(
        bytes calldata digest,
        bytes calldata signature,
        bytes calldata publicKey
    ) external view returns (bool) {
        if (digest.length != 48 || signature.length != 96 || publicKey.length != 96) return false;
        bytes memory gtab = GT;
        assembly {
            // ---- fixed memory map (absolute) ----
            // 0x0000..0x03ff scratch / modexp
            // points: 96-byte? elements are 64 bytes (hi, lo)
            function LO() -> v {
                v := 0xffffffffffffffffffffffffffffffff
            }
            function D() -> v {
                v := 0xffffffffffffffff00000001
            }
            function C() -> v {
                v := 0x100000000ffffffffffffffff00000001
            }

            // ---- field ----
            // full reduction of w2*2^512 + w1*2^256 + w0 (any value): rare path
            function slow(w0, w1, w2) -> rh, rl {
                // fold everything above 2^384 until small, then subtract p
                for {} or(w2, shr(128, w1)) {} {
                    // hi part T = (w2, w1>>128) ; value = (w1 & LO, w0) + T * C
                    let th := shr(128, w2)
                    let tl := or(shl(128, w2), shr(128, w1))
                    w1 := and(w1, 0xffffffffffffffffffffffffffffffff)
                    // + tl * C
                    let t := mul(tl, 0x100000000ffffffffffffffff00000001)
                    let u := mulmod(tl, 0x100000000ffffffffffffffff00000001, not(0))
                    u := sub(sub(u, t), lt(u, t))
                    w0 := add(w0, t)
                    u := add(u, lt(w0, t)) // tl*C < 2^385 so u < 2^129
                    w1 := add(w1, u)
                    w2 := 0
                    // + th * C * 2^256  (th < 2^128, C < 2^129 : 257 bits)
                    t := mul(th, 0x100000000ffffffffffffffff00000001)
                    w2 := shr(128, mul(shr(128, th), 1))
                    u := mulmod(th, 0x100000000ffffffffffffffff00000001, not(0))
                    w2 := sub(sub(u, t), lt(u, t))
                    w1 := add(w1, t)
                    w2 := add(w2, lt(w1, t))
                }
                rh := w1
                rl := w0
                if gt(rh, 0xfffffffffffffffffffffffffffffffe) {
                    let l2 := add(rl, 0x100000000ffffffffffffffff00000001)
                    let h2 := add(rh, lt(l2, 0x100000000ffffffffffffffff00000001))
                    if shr(128, h2) {
                        rh := and(h2, 0xffffffffffffffffffffffffffffffff)
                        rl := l2
                    }
                }
            }
            function mulp(ah, al, bh, bl) -> rh, rl {
                let w0 := mul(al, bl)
                let w1 := mulmod(al, bl, not(0))
                w1 := add(add(sub(sub(w1, w0), lt(w1, w0)), mul(ah, bl)), mul(al, bh))
                let pn := mulmod(addmod(al, ah, not(0)), addmod(bl, bh, not(0)), not(0))
                let w2 := addmod(addmod(pn, not(w0), not(0)), not(w1), not(0))
                let th := shr(128, w2)
                let tl := or(shl(128, w2), shr(128, w1))
                let uu := shr(
                    128,
                    add(add(w2, mul(th, 0xffffffffffffffff00000001)), and(w1, 0xffffffffffffffffffffffffffffffff))
                )
                rl := add(w0, mul(add(tl, uu), 0x100000000ffffffffffffffff00000001))
                rh := addmod(
                    addmod(pn, mulmod(addmod(tl, add(th, uu), not(0)), 0xffffffffffffffff00000001, not(0)), not(0)),
                    not(rl),
                    not(0)
                )
                if or(
                    gt(rh, 0xfffffffffffffffffffffffffffffffe),
                    gt(w2, 0xfffffffc00000000000000000000000000000000000000000000000000000000)
                ) {
                    rh, rl := slow(w0, w1, w2)
                }
            }
            function sqrp(ah, al) -> rh, rl {
                let w0 := mul(al, al)
                let w1 := mulmod(al, al, not(0))
                w1 := add(sub(sub(w1, w0), lt(w1, w0)), shl(1, mul(ah, al)))
                let pn := addmod(al, ah, not(0))
                pn := mulmod(pn, pn, not(0))
                let w2 := addmod(addmod(pn, not(w0), not(0)), not(w1), not(0))
                let th := shr(128, w2)
                let tl := or(shl(128, w2), shr(128, w1))
                let uu := shr(
                    128,
                    add(add(w2, mul(th, 0xffffffffffffffff00000001)), and(w1, 0xffffffffffffffffffffffffffffffff))
                )
                rl := add(w0, mul(add(tl, uu), 0x100000000ffffffffffffffff00000001))
                rh := addmod(
                    addmod(pn, mulmod(addmod(tl, add(th, uu), not(0)), 0xffffffffffffffff00000001, not(0)), not(0)),
                    not(rl),
                    not(0)
                )
                if or(
                    gt(rh, 0xfffffffffffffffffffffffffffffffe),
                    gt(w2, 0xfffffffc00000000000000000000000000000000000000000000000000000000)
                ) {
                    rh, rl := slow(w0, w1, w2)
                }
            }
            function fmul(d, a, b) {
                let h, l := mulp(mload(a), mload(add(a, 32)), mload(b), mload(add(b, 32)))
                mstore(d, h)
                mstore(add(d, 32), l)
            }
            function fsqr(d, a) {
                let h, l := sqrp(mload(a), mload(add(a, 32)))
                mstore(d, h)
                mstore(add(d, 32), l)
            }
            function fshl1(d, a) {
                let l_0 := mload(add(a, 32))
                let h_0 := or(shl(1, mload(a)), shr(255, l_0))
                let t_0 := mul(shr(128, h_0), 0x100000000ffffffffffffffff00000001)
                let z_0 := add(shl(1, l_0), t_0)
                h_0 := add(and(h_0, 0xffffffffffffffffffffffffffffffff), lt(z_0, t_0))
                if gt(h_0, 0xfffffffffffffffffffffffffffffffe) {
                    h_0, z_0 := slow(z_0, h_0, 0)
                }
                mstore(d, h_0)
                mstore(add(d, 32), z_0)
            }
            function fadd(d, a, b) {
                let a_1 := mload(add(a, 32))
                let l_1 := add(a_1, mload(add(b, 32)))
                let h_1 := add(add(mload(a), mload(b)), lt(l_1, a_1))
                let t_1 := mul(shr(128, h_1), 0x100000000ffffffffffffffff00000001)
                let z_1 := add(l_1, t_1)
                h_1 := add(and(h_1, 0xffffffffffffffffffffffffffffffff), lt(z_1, t_1))
                if gt(h_1, 0xfffffffffffffffffffffffffffffffe) {
                    h_1, z_1 := slow(z_1, h_1, 0)
                }
                mstore(d, h_1)
                mstore(add(d, 32), z_1)
            }
            function fsub(d, a, b) {
                let a_2 := mload(add(a, 32))
                let b_2 := mload(add(b, 32))
                let l_2 := sub(a_2, b_2)
                let h_2 := sub(sub(mload(a), mload(b)), lt(a_2, b_2))
                if shr(255, h_2) {
                    h_2 := add(
                        sub(h_2, lt(l_2, 0x100000000ffffffffffffffff00000001)),
                        0x100000000000000000000000000000000
                    )
                    l_2 := sub(l_2, 0x100000000ffffffffffffffff00000001)
                }
                mstore(d, h_2)
                mstore(add(d, 32), l_2)
            }
            function fzero(a) -> z {
                z := iszero(or(mload(a), mload(add(a, 32))))
            }

            // accumulator (Jacobian) X 0x900, Y 0x940, Z 0x980
            function dbl() {
                fsqr(0x400, 0x980)
                {
                    let l_3 := mload(0x960)
                    let h_3 := or(shl(1, mload(0x940)), shr(255, l_3))
                    let t_3 := mul(shr(128, h_3), 0x100000000ffffffffffffffff00000001)
                    let z_3 := add(shl(1, l_3), t_3)
                    h_3 := add(and(h_3, 0xffffffffffffffffffffffffffffffff), lt(z_3, t_3))
                    if gt(h_3, 0xfffffffffffffffffffffffffffffffe) {
                        h_3, z_3 := slow(z_3, h_3, 0)
                    }
                    mstore(0x440, h_3)
                    mstore(0x460, z_3)
                }
                fmul(0x980, 0x440, 0x980)
                fsqr(0x440, 0x440)
                fmul(0x480, 0x900, 0x440)
                {
                    let a_4 := mload(0x920)
                    let b_4 := mload(0x420)
                    let l_4 := sub(a_4, b_4)
                    let h_4 := sub(sub(mload(0x900), mload(0x400)), lt(a_4, b_4))
                    if shr(255, h_4) {
                        h_4 := add(
                            sub(h_4, lt(l_4, 0x100000000ffffffffffffffff00000001)),
                            0x100000000000000000000000000000000
                        )
                        l_4 := sub(l_4, 0x100000000ffffffffffffffff00000001)
                    }
                    mstore(0x4c0, h_4)
                    mstore(0x4e0, l_4)
                }
                {
                    let a_5 := mload(0x920)
                    let l_5 := add(a_5, mload(0x420))
                    let h_5 := add(add(mload(0x900), mload(0x400)), lt(l_5, a_5))
                    let t_5 := mul(shr(128, h_5), 0x100000000ffffffffffffffff00000001)
                    let z_5 := add(l_5, t_5)
                    h_5 := add(and(h_5, 0xffffffffffffffffffffffffffffffff), lt(z_5, t_5))
                    if gt(h_5, 0xfffffffffffffffffffffffffffffffe) {
                        h_5, z_5 := slow(z_5, h_5, 0)
                    }
                    mstore(0x500, h_5)
                    mstore(0x520, z_5)
                }
                {
                    let l_6 := mload(0x520)
                    let m_6 := shl(1, l_6)
                    let h_6 := add(mul(3, mload(0x500)), shr(255, l_6))
                    l_6 := add(l_6, m_6)
                    h_6 := add(h_6, lt(l_6, m_6))
                    let t_6 := mul(shr(128, h_6), 0x100000000ffffffffffffffff00000001)
                    let z_6 := add(l_6, t_6)
                    h_6 := add(and(h_6, 0xffffffffffffffffffffffffffffffff), lt(z_6, t_6))
                    if gt(h_6, 0xfffffffffffffffffffffffffffffffe) {
                        h_6, z_6 := slow(z_6, h_6, 0)
                    }
                    mstore(0x500, h_6)
                    mstore(0x520, z_6)
                }
                fmul(0x4c0, 0x4c0, 0x500)
                {
                    let y_7l := mload(0x4a0)
                    let y_7h := sub(
                        sub(0xffffffffffffffffffffffffffffffff, mload(0x480)),
                        lt(0xfffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff, y_7l)
                    )
                    y_7l := sub(0xfffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff, y_7l)
                    y_7h := or(shl(1, y_7h), shr(255, y_7l))
                    y_7l := shl(1, y_7l)
                    let a_7h := mload(0x4c0)
                    let a_7l := mload(0x4e0)
                    let rh_7, rl_7
                    let w0_7 := mul(a_7l, a_7l)
                    let w1_7 := mulmod(a_7l, a_7l, not(0))
                    w1_7 := add(sub(sub(w1_7, w0_7), lt(w1_7, w0_7)), shl(1, mul(a_7h, a_7l)))
                    let pn_7 := addmod(a_7l, a_7h, not(0))
                    pn_7 := mulmod(pn_7, pn_7, not(0))
                    w0_7 := add(w0_7, y_7l)
                    w1_7 := add(add(w1_7, y_7h), lt(w0_7, y_7l))
                    pn_7 := addmod(pn_7, addmod(y_7h, y_7l, not(0)), not(0))
                    let w2_7 := addmod(addmod(pn_7, not(w0_7), not(0)), not(w1_7), not(0))
                    let th_7 := shr(128, w2_7)
                    let tl_7 := or(shl(128, w2_7), shr(128, w1_7))
                    let uu_7 := shr(
                        128,
                        add(
                            add(w2_7, mul(th_7, 0xffffffffffffffff00000001)),
                            and(w1_7, 0xffffffffffffffffffffffffffffffff)
                        )
                    )
                    rl_7 := add(w0_7, mul(add(tl_7, uu_7), 0x100000000ffffffffffffffff00000001))
                    rh_7 := addmod(
                        addmod(
                            pn_7,
                            mulmod(addmod(tl_7, add(th_7, uu_7), not(0)), 0xffffffffffffffff00000001, not(0)),
                            not(0)
                        ),
                        not(rl_7),
                        not(0)
                    )
                    if or(
                        gt(rh_7, 0xfffffffffffffffffffffffffffffffe),
                        gt(w2_7, 0xfffffffc00000000000000000000000000000000000000000000000000000000)
                    ) {
                        rh_7, rl_7 := slow(w0_7, w1_7, w2_7)
                    }
                    mstore(0x900, rh_7)
                    mstore(0x920, rl_7)
                }
                {
                    let a_8 := mload(0x4a0)
                    let b_8 := mload(0x920)
                    let l_8 := sub(a_8, b_8)
                    let h_8 := sub(sub(mload(0x480), mload(0x900)), lt(a_8, b_8))
                    if shr(255, h_8) {
                        h_8 := add(
                            sub(h_8, lt(l_8, 0x100000000ffffffffffffffff00000001)),
                            0x100000000000000000000000000000000
                        )
                        l_8 := sub(l_8, 0x100000000ffffffffffffffff00000001)
                    }
                    mstore(0x480, h_8)
                    mstore(0x4a0, l_8)
                }
                fsqr(0x440, 0x440)
                {
                    let l_9 := mload(0x460)
                    let h_9 := mload(0x440)
                    if and(l_9, 1) {
                        let t_9 := add(l_9, 0xfffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff)
                        h_9 := add(add(h_9, 0xffffffffffffffffffffffffffffffff), lt(t_9, l_9))
                        l_9 := t_9
                    }
                    mstore(0x440, shr(1, h_9))
                    mstore(0x460, or(shl(255, h_9), shr(1, l_9)))
                }
                {
                    let y_10l := mload(0x460)
                    let y_10h := sub(
                        sub(0xffffffffffffffffffffffffffffffff, mload(0x440)),
                        lt(0xfffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff, y_10l)
                    )
                    y_10l := sub(0xfffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff, y_10l)
                    let a_10h := mload(0x480)
                    let a_10l := mload(0x4a0)
                    let b_10h := mload(0x4c0)
                    let b_10l := mload(0x4e0)
                    let rh_10, rl_10
                    let w0_10 := mul(a_10l, b_10l)
                    let w1_10 := mulmod(a_10l, b_10l, not(0))
                    w1_10 := add(add(sub(sub(w1_10, w0_10), lt(w1_10, w0_10)), mul(a_10h, b_10l)), mul(a_10l, b_10h))
                    let pn_10 := mulmod(addmod(a_10l, a_10h, not(0)), addmod(b_10l, b_10h, not(0)), not(0))
                    w0_10 := add(w0_10, y_10l)
                    w1_10 := add(add(w1_10, y_10h), lt(w0_10, y_10l))
                    pn_10 := addmod(pn_10, addmod(y_10h, y_10l, not(0)), not(0))
                    let w2_10 := addmod(addmod(pn_10, not(w0_10), not(0)), not(w1_10), not(0))
                    let th_10 := shr(128, w2_10)
                    let tl_10 := or(shl(128, w2_10), shr(128, w1_10))
                    let uu_10 := shr(
                        128,
                        add(
                            add(w2_10, mul(th_10, 0xffffffffffffffff00000001)),
                            and(w1_10, 0xffffffffffffffffffffffffffffffff)
                        )
                    )
                    rl_10 := add(w0_10, mul(add(tl_10, uu_10), 0x100000000ffffffffffffffff00000001))
                    rh_10 := addmod(
                        addmod(
                            pn_10,
                            mulmod(addmod(tl_10, add(th_10, uu_10), not(0)), 0xffffffffffffffff00000001, not(0)),
                            not(0)
                        ),
                        not(rl_10),
                        not(0)
                    )
                    if or(
                        gt(rh_10, 0xfffffffffffffffffffffffffffffffe),
                        gt(w2_10, 0xfffffffc00000000000000000000000000000000000000000000000000000000)
                    ) {
                        rh_10, rl_10 := slow(w0_10, w1_10, w2_10)
                    }
                    mstore(0x940, rh_10)
                    mstore(0x960, rl_10)
                }
            }
            // acc += affine point at A; 0 if the sum is the point at infinity
            function madd(A) -> ok {
                fsqr(0x400, 0x980)
                fmul(0x480, 0x400, 0x980)
                fmul(0x440, A, 0x400)
                fsub(0x440, 0x440, 0x900)
                {
                    let y_11l := mload(0x960)
                    let y_11h := sub(
                        sub(0xffffffffffffffffffffffffffffffff, mload(0x940)),
                        lt(0xfffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff, y_11l)
                    )
                    y_11l := sub(0xfffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff, y_11l)
                    let a_11h := mload(0x480)
                    let a_11l := mload(0x4a0)
                    let b_11h := mload(add(A, 64))
                    let b_11l := mload(add(add(A, 64), 32))
                    let rh_11, rl_11
                    let w0_11 := mul(a_11l, b_11l)
                    let w1_11 := mulmod(a_11l, b_11l, not(0))
                    w1_11 := add(add(sub(sub(w1_11, w0_11), lt(w1_11, w0_11)), mul(a_11h, b_11l)), mul(a_11l, b_11h))
                    let pn_11 := mulmod(addmod(a_11l, a_11h, not(0)), addmod(b_11l, b_11h, not(0)), not(0))
                    w0_11 := add(w0_11, y_11l)
                    w1_11 := add(add(w1_11, y_11h), lt(w0_11, y_11l))
                    pn_11 := addmod(pn_11, addmod(y_11h, y_11l, not(0)), not(0))
                    let w2_11 := addmod(addmod(pn_11, not(w0_11), not(0)), not(w1_11), not(0))
                    let th_11 := shr(128, w2_11)
                    let tl_11 := or(shl(128, w2_11), shr(128, w1_11))
                    let uu_11 := shr(
                        128,
                        add(
                            add(w2_11, mul(th_11, 0xffffffffffffffff00000001)),
                            and(w1_11, 0xffffffffffffffffffffffffffffffff)
                        )
                    )
                    rl_11 := add(w0_11, mul(add(tl_11, uu_11), 0x100000000ffffffffffffffff00000001))
                    rh_11 := addmod(
                        addmod(
                            pn_11,
                            mulmod(addmod(tl_11, add(th_11, uu_11), not(0)), 0xffffffffffffffff00000001, not(0)),
                            not(0)
                        ),
                        not(rl_11),
                        not(0)
                    )
                    if or(
                        gt(rh_11, 0xfffffffffffffffffffffffffffffffe),
                        gt(w2_11, 0xfffffffc00000000000000000000000000000000000000000000000000000000)
                    ) {
                        rh_11, rl_11 := slow(w0_11, w1_11, w2_11)
                    }
                    mstore(0x480, rh_11)
                    mstore(0x4a0, rl_11)
                }
                ok := 1
                if fzero(0x440) {
                    // same x: P = A (double) or P = -A (infinity)
                    ok := fzero(0x480)
                    if ok {
                        mcopy(0x900, A, 128)
                        mstore(0x980, 0)
                        mstore(0x9a0, 1)
                        dbl()
                    }
                    leave
                }
                fsqr(0x4c0, 0x440)
                fmul(0x980, 0x980, 0x440)
                fmul(0x440, 0x440, 0x4c0)
                fmul(0x4c0, 0x4c0, 0x900)
                {
                    let b_12 := mload(0x4e0)
                    let h_12 := add(mload(0x440), or(shl(1, mload(0x4c0)), shr(255, b_12)))
                    b_12 := shl(1, b_12)
                    let l_12 := add(mload(0x460), b_12)
                    h_12 := add(h_12, lt(l_12, b_12))
                    let t_12 := mul(shr(128, h_12), 0x100000000ffffffffffffffff00000001)
                    let z_12 := add(l_12, t_12)
                    h_12 := add(and(h_12, 0xffffffffffffffffffffffffffffffff), lt(z_12, t_12))
                    if gt(h_12, 0xfffffffffffffffffffffffffffffffe) {
                        h_12, z_12 := slow(z_12, h_12, 0)
                    }
                    mstore(0x500, h_12)
                    mstore(0x520, z_12)
                }
                {
                    let y_13l := mload(0x520)
                    let y_13h := sub(
                        sub(0xffffffffffffffffffffffffffffffff, mload(0x500)),
                        lt(0xfffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff, y_13l)
                    )
                    y_13l := sub(0xfffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff, y_13l)
                    let a_13h := mload(0x480)
                    let a_13l := mload(0x4a0)
                    let rh_13, rl_13
                    let w0_13 := mul(a_13l, a_13l)
                    let w1_13 := mulmod(a_13l, a_13l, not(0))
                    w1_13 := add(sub(sub(w1_13, w0_13), lt(w1_13, w0_13)), shl(1, mul(a_13h, a_13l)))
                    let pn_13 := addmod(a_13l, a_13h, not(0))
                    pn_13 := mulmod(pn_13, pn_13, not(0))
                    w0_13 := add(w0_13, y_13l)
                    w1_13 := add(add(w1_13, y_13h), lt(w0_13, y_13l))
                    pn_13 := addmod(pn_13, addmod(y_13h, y_13l, not(0)), not(0))
                    let w2_13 := addmod(addmod(pn_13, not(w0_13), not(0)), not(w1_13), not(0))
                    let th_13 := shr(128, w2_13)
                    let tl_13 := or(shl(128, w2_13), shr(128, w1_13))
                    let uu_13 := shr(
                        128,
                        add(
                            add(w2_13, mul(th_13, 0xffffffffffffffff00000001)),
                            and(w1_13, 0xffffffffffffffffffffffffffffffff)
                        )
                    )
                    rl_13 := add(w0_13, mul(add(tl_13, uu_13), 0x100000000ffffffffffffffff00000001))
                    rh_13 := addmod(
                        addmod(
                            pn_13,
                            mulmod(addmod(tl_13, add(th_13, uu_13), not(0)), 0xffffffffffffffff00000001, not(0)),
                            not(0)
                        ),
                        not(rl_13),
                        not(0)
                    )
                    if or(
                        gt(rh_13, 0xfffffffffffffffffffffffffffffffe),
                        gt(w2_13, 0xfffffffc00000000000000000000000000000000000000000000000000000000)
                    ) {
                        rh_13, rl_13 := slow(w0_13, w1_13, w2_13)
                    }
                    mstore(0x900, rh_13)
                    mstore(0x920, rl_13)
                }
                {
                    let a_14 := mload(0x4e0)
                    let b_14 := mload(0x920)
                    let l_14 := sub(a_14, b_14)
                    let h_14 := sub(sub(mload(0x4c0), mload(0x900)), lt(a_14, b_14))
                    if shr(255, h_14) {
                        h_14 := add(
                            sub(h_14, lt(l_14, 0x100000000ffffffffffffffff00000001)),
                            0x100000000000000000000000000000000
                        )
                        l_14 := sub(l_14, 0x100000000ffffffffffffffff00000001)
                    }
                    mstore(0x4c0, h_14)
                    mstore(0x4e0, l_14)
                }
                fmul(0x440, 0x440, 0x940)
                {
                    let y_15l := mload(0x460)
                    let y_15h := sub(
                        sub(0xffffffffffffffffffffffffffffffff, mload(0x440)),
                        lt(0xfffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff, y_15l)
                    )
                    y_15l := sub(0xfffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff, y_15l)
                    let a_15h := mload(0x4c0)
                    let a_15l := mload(0x4e0)
                    let b_15h := mload(0x480)
                    let b_15l := mload(0x4a0)
                    let rh_15, rl_15
                    let w0_15 := mul(a_15l, b_15l)
                    let w1_15 := mulmod(a_15l, b_15l, not(0))
                    w1_15 := add(add(sub(sub(w1_15, w0_15), lt(w1_15, w0_15)), mul(a_15h, b_15l)), mul(a_15l, b_15h))
                    let pn_15 := mulmod(addmod(a_15l, a_15h, not(0)), addmod(b_15l, b_15h, not(0)), not(0))
                    w0_15 := add(w0_15, y_15l)
                    w1_15 := add(add(w1_15, y_15h), lt(w0_15, y_15l))
                    pn_15 := addmod(pn_15, addmod(y_15h, y_15l, not(0)), not(0))
                    let w2_15 := addmod(addmod(pn_15, not(w0_15), not(0)), not(w1_15), not(0))
                    let th_15 := shr(128, w2_15)
                    let tl_15 := or(shl(128, w2_15), shr(128, w1_15))
                    let uu_15 := shr(
                        128,
                        add(
                            add(w2_15, mul(th_15, 0xffffffffffffffff00000001)),
                            and(w1_15, 0xffffffffffffffffffffffffffffffff)
                        )
                    )
                    rl_15 := add(w0_15, mul(add(tl_15, uu_15), 0x100000000ffffffffffffffff00000001))
                    rh_15 := addmod(
                        addmod(
                            pn_15,
                            mulmod(addmod(tl_15, add(th_15, uu_15), not(0)), 0xffffffffffffffff00000001, not(0)),
                            not(0)
                        ),
                        not(rl_15),
                        not(0)
                    )
                    if or(
                        gt(rh_15, 0xfffffffffffffffffffffffffffffffe),
                        gt(w2_15, 0xfffffffc00000000000000000000000000000000000000000000000000000000)
                    ) {
                        rh_15, rl_15 := slow(w0_15, w1_15, w2_15)
                    }
                    mstore(0x940, rh_15)
                    mstore(0x960, rl_15)
                }
            }
            // modexp with 48-byte operands: out(hi,lo) = b^e mod m
            function mexp(d, b, eh, el, ml) {
                mstore(0x00, 48)
                mstore(0x20, 48)
                mstore(0x40, 48)
                mstore(0x60, shl(128, mload(b)))
                mstore(0x70, mload(add(b, 32)))
                mstore(0x90, shl(128, eh))
                mstore(0xa0, el)
                mstore(0xc0, shl(128, 0xffffffffffffffffffffffffffffffff))
                mstore(0xd0, ml)
                if iszero(staticcall(gas(), 5, 0, 0xf0, 0, 48)) {
                    revert(0, 0)
                }
                let l := mload(0x10)
                mstore(d, shr(128, mload(0)))
                mstore(add(d, 32), l)
            }
            // a*b mod n through MODEXP (exponent 1)
            function muln(d, a, b) {
                let ah := mload(a)
                let al := mload(add(a, 32))
                let bh := mload(b)
                let bl := mload(add(b, 32))
                let w0 := mul(al, bl)
                let t := mulmod(al, bl, not(0))
                let w1 := sub(sub(t, w0), lt(t, w0))
                t := mul(ah, bl)
                let w2 := mulmod(ah, bl, not(0))
                w2 := sub(sub(w2, t), lt(w2, t))
                w1 := add(w1, t)
                w2 := add(w2, lt(w1, t))
                t := mul(al, bh)
                {
                    let u := mulmod(al, bh, not(0))
                    w2 := add(w2, sub(sub(u, t), lt(u, t)))
                }
                w1 := add(w1, t)
                w2 := add(add(w2, lt(w1, t)), mul(ah, bh))
                mstore(0x00, 96)
                mstore(0x20, 1)
                mstore(0x40, 48)
                mstore(0x60, w2)
                mstore(0x80, w1)
                mstore(0xa0, w0)
                mstore8(0xc0, 1)
                mstore(0xc1, shl(128, 0xffffffffffffffffffffffffffffffff))
                mstore(0xd1, 0xffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973)
                if iszero(staticcall(gas(), 5, 0, 0xf1, 0, 48)) {
                    revert(0, 0)
                }
                let l := mload(0x10)
                mstore(d, shr(128, mload(0)))
                mstore(add(d, 32), l)
            }
            function ge(h, l, mh, ml) -> r {
                r := or(gt(h, mh), and(eq(h, mh), iszero(lt(l, ml))))
            }
            function out(v) {
                mstore(0, v)
                return(0, 32)
            }

            let nl := 0xffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973
            let pl := 0xfffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff
            let lo := 0xffffffffffffffffffffffffffffffff
            let gsrc := add(gtab, 32)
            // G table stays packed (96 bytes per entry); move it above the work areas
            mcopy(0x4000, gsrc, 6144)
            // inputs: z 0x600, r 0x640, s 0x680, Q 0x1880 (=table entry 1 of Q)
            function ld(d, off) {
                mstore(d, shr(128, calldataload(off)))
                mstore(add(d, 32), calldataload(add(off, 16)))
            }
            ld(0x600, digest.offset)
            ld(0x640, signature.offset)
            ld(0x680, add(signature.offset, 48))
            ld(0x1880, publicKey.offset)
            ld(0x18c0, add(publicKey.offset, 48))
            // 0 < r,s < n
            if or(fzero(0x640), fzero(0x680)) {
                out(0)
            }
            if or(ge(mload(0x640), mload(0x660), lo, nl), ge(mload(0x680), mload(0x6a0), lo, nl)) {
                out(0)
            }
            // Q canonical and on the curve y^2 = x^3 - 3x + b
            if or(ge(mload(0x1880), mload(0x18a0), lo, pl), ge(mload(0x18c0), mload(0x18e0), lo, pl)) {
                out(0)
            }
            fsqr(0x700, 0x1880)
            fmul(0x700, 0x700, 0x1880)
            fshl1(0x740, 0x1880)
            fadd(0x740, 0x740, 0x1880)
            fsub(0x700, 0x700, 0x740)
            mstore(0x740, 0xb3312fa7e23ee7e4988e056be3f82d19)
            mstore(0x760, 0x181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef)
            fadd(0x700, 0x700, 0x740)
            fsqr(0x740, 0x18c0)
            fsub(0x700, 0x700, 0x740)
            if iszero(fzero(0x700)) {
                out(0)
            }
            // w = s^-1, u1 = z w, u2 = r w
            mexp(0x700, 0x680, lo, sub(nl, 2), nl)
            muln(0x740, 0x600, 0x700)
            muln(0x780, 0x640, 0x700)

            // ---- Q table: 1..15 at 0x1800 + i*128 (affine). Jacobian work area 0x2800 + i*256 : X,Y,Z, prefix ----
            mcopy(0x2900, 0x1880, 128)
            mstore(0x2980, 0)
            mstore(0x29a0, 1)
            for {
                let i := 2
            } lt(i, 17) {
                i := add(i, 1)
            } {
                let d := add(0x2800, mul(i, 256))
                switch and(i, 1)
                case 0 {
                    mcopy(0x900, add(0x2800, mul(shr(1, i), 256)), 192)
                    dbl()
                }
                default {
                    mcopy(0x900, sub(d, 256), 192)
                    if iszero(madd(0x1880)) {
                        out(0)
                    }
                }
                mcopy(d, 0x900, 192)
            }
            // batch inversion of Z2..Z15, prefix products at +192
            mcopy(add(0x2a00, 192), add(0x2a00, 128), 64)
            for {
                let d := 0x2b00
            } lt(d, 0x3900) {
                d := add(d, 256)
            } {
                fmul(add(d, 192), sub(d, 64), add(d, 128))
            }
            mexp(0x7c0, add(0x3800, 192), lo, sub(pl, 2), pl)
            for {
                let i := 16
            } gt(i, 1) {
                i := sub(i, 1)
            } {
                let d := add(0x2800, mul(i, 256))
                // zi = inv * prefix[i-1]; inv *= Z[i]
                switch gt(i, 2)
                case 1 {
                    fmul(0x800, 0x7c0, sub(d, 64))
                    fmul(0x7c0, 0x7c0, add(d, 128))
                }
                default {
                    mcopy(0x800, 0x7c0, 64)
                }
                let a := add(0x1800, mul(i, 128))
                fsqr(0x840, 0x800)
                fmul(a, d, 0x840)
                fmul(0x840, 0x840, 0x800)
                fmul(add(a, 64), add(d, 64), 0x840)
            }
            // ---- Strauss with signed (Booth) windows: Q 5 bits, G 7 bits ----
            function digit(u, i, w) -> mag, neg {
                // bits i-1 .. i+w-1 of the 384-bit scalar at u
                let v
                switch i
                case 0 {
                    v := shl(1, mload(add(u, 32)))
                }
                default {
                    i := sub(i, 1)
                    switch gt(i, 255)
                    case 1 {
                        v := shr(sub(i, 256), mload(u))
                    }
                    default {
                        v := or(shr(i, mload(add(u, 32))), shl(sub(256, i), mload(u)))
                    }
                }
                mag := shr(1, add(and(v, sub(shl(w, 1), 1)), 1))
                neg := and(shr(w, v), 1)
                if neg {
                    mag := sub(shl(sub(w, 1), 1), mag)
                }
            }
            // point at 0xa00 (affine) added to the accumulator
            function put(inf_, neg) -> ok {
                if neg {
                    let l := mload(0xa60)
                    mstore(
                        0xa40,
                        sub(
                            sub(0xffffffffffffffffffffffffffffffff, mload(0xa40)),
                            lt(0xfffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff, l)
                        )
                    )
                    mstore(0xa60, sub(0xfffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff, l))
                }
                switch inf_
                case 1 {
                    mcopy(0x900, 0xa00, 128)
                    mstore(0x980, 0)
                    mstore(0x9a0, 1)
                    ok := 1
                }
                default {
                    ok := madd(0xa00)
                }
            }
            let inf := 1
            for {
                let i := 381
            } i {} {
                i := sub(i, 1)
                if iszero(inf) {
                    dbl()
                }
                if iszero(mod(i, 5)) {
                    let mag, neg := digit(0x780, i, 5)
                    if mag {
                        mcopy(0xa00, add(0x1800, shl(7, mag)), 128)
                        inf := iszero(put(inf, neg))
                    }
                }
                if iszero(mod(i, 7)) {
                    let mag, neg := digit(0x740, i, 7)
                    if mag {
                        mag := add(0x3fa0, mul(mag, 96))
                        mstore(0xa00, shr(128, mload(mag)))
                        mstore(0xa20, mload(add(mag, 16)))
                        mstore(0xa40, shr(128, mload(add(mag, 48))))
                        mstore(0xa60, mload(add(mag, 64)))
                        inf := iszero(put(inf, neg))
                    }
                }
            }
            if inf {
                out(0)
            }
            if fzero(0x980) {
                out(0)
            }
            // X == r * Z^2 or X == (r + n) * Z^2 when r + n < p
            fsqr(0x980, 0x980)
            fmul(0x700, 0x640, 0x980)
            fsub(0x740, 0x900, 0x700)
            if fzero(0x740) {
                out(1)
            }
            // r + n < p ?
            let rl := add(mload(0x660), nl)
            let rh := add(add(mload(0x640), lo), lt(rl, nl))
            if iszero(ge(rh, rl, lo, pl)) {
                mstore(0x640, rh)
                mstore(0x660, rl)
                fmul(0x700, 0x640, 0x980)
                fsub(0x740, 0x900, 0x700)
                if fzero(0x740) {
                    out(1)
                }
            }
            out(0)
        }
    }
}
