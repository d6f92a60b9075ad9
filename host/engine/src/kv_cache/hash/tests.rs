//! Vectors that Python computed with vLLM's own formulas, and llm-d's with Go.

use super::*;

fn chain(algorithm: HashAlgorithm, seed: &str, block_size: usize, tokens: &[u32], keys: &ExtraKeys) -> Vec<BlockHash> {
    let mut hashes = Vec::new();
    BlockHasher::new(algorithm, block_size, Some(seed), 0, "my_model".into()).extend(&mut hashes, tokens, keys);
    hashes
}

fn plain(algorithm: HashAlgorithm, seed: &str, block_size: usize, tokens: &[u32]) -> Vec<u64> {
    let hashes = chain(algorithm, seed, block_size, tokens, &ExtraKeys::default());
    hashes.into_iter().map(BlockHash::as_u64).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn chains_of_two_blocks_of_eight_are_those_of_vllm() {
    let tokens: Vec<u32> = (0..16).collect();
    for (algorithm, seed, expected) in [
        (HashAlgorithm::Sha256, "0", [10718883888860863403, 14331030419541488733]),
        (HashAlgorithm::Sha256, "42", [15965596839980492700, 10756106310822674725]),
        (HashAlgorithm::Sha256, "vllm-none-hash", [2666127263355834335, 196875952840194572]),
        (HashAlgorithm::Sha256Cbor, "0", [7398625583896248670, 10237022489943894685]),
        (HashAlgorithm::Sha256Cbor, "42", [13555017567556293035, 16975274380260359166]),
        (HashAlgorithm::Sha256Cbor, "vllm-none-hash", [11549406493751791505, 5388959530938787407]),
        (HashAlgorithm::Xxhash, "0", [2345223765437210373, 4644775938687357018]),
        (HashAlgorithm::Xxhash, "42", [15050979667443579798, 6302248848554499162]),
        (HashAlgorithm::Xxhash, "vllm-none-hash", [14223248860360366489, 6070511737239502144]),
        (HashAlgorithm::XxhashCbor, "0", [10363788490222207115, 1453373426732027716]),
        (HashAlgorithm::XxhashCbor, "42", [16993102149085021349, 4299417339566313698]),
        (HashAlgorithm::XxhashCbor, "vllm-none-hash", [6922603578137716904, 3529136826527445175]),
    ] {
        assert_eq!(plain(algorithm, seed, 8, &tokens), expected, "{algorithm:?} {seed:?}");
    }
}

#[test]
fn whole_digests_and_roots_are_those_of_vllm() {
    let tokens: Vec<u32> = (0..16).collect();
    for (algorithm, seed, root, second) in [
        (
            HashAlgorithm::Sha256,
            "0",
            "1973e23848344dc43a988a9b478663803cfffe1243480253f9a3cf004b14aa7c",
            "4d1a350e03e341724c60243cd4090cadcfcd7b9256c2be78c6e20c3cce16745d",
        ),
        (
            HashAlgorithm::Sha256Cbor,
            "42",
            "9fa6eb003f14425eb9c8e6baacfbcaab26257357b829c7bfa74ffcc4f31c1780",
            "fed8a2df0a7a504b5b00275080da2fafc97b64fac15e60afeb944a1c28353bfe",
        ),
        (HashAlgorithm::Xxhash, "0", "6fb31cc38bba6066183f7f2104b9c051", "a960755a6fe05fa040758f1b6ebdd05a"),
        (HashAlgorithm::XxhashCbor, "42", "a9d2e63407fce1a26c9dc9d7fa2d7caf", "4b840579a96de2233baa994a820150e2"),
    ] {
        let length = algorithm.digest_length();
        let hasher = BlockHasher::new(algorithm, 8, Some(seed), 0, String::new());
        assert_eq!(hex(hasher.root.digest(length)), root, "{algorithm:?}");
        let hashes = chain(algorithm, seed, 8, &tokens, &ExtraKeys::default());
        assert_eq!(hex(hashes[1].digest(length)), second, "{algorithm:?}");
    }
}

#[test]
fn blocks_of_sixteen_are_those_of_vllm() {
    let tokens: Vec<u32> = (0..16).collect();
    assert_eq!(plain(HashAlgorithm::Sha256, "0", 16, &tokens), [7982712666671721126]);
    assert_eq!(plain(HashAlgorithm::Sha256, "42", 16, &tokens), [12181739546299357825]);
    assert_eq!(plain(HashAlgorithm::Sha256Cbor, "0", 16, &tokens), [12687895063098490012]);
    assert_eq!(plain(HashAlgorithm::Sha256Cbor, "42", 16, &tokens), [2863503375995570957]);
}

#[test]
fn a_salt_and_an_adapter_change_hashes_as_in_vllm() {
    let tokens: Vec<u32> = (0..8).collect();
    let salted = ExtraKeys { cache_salt: Some("s1".into()), adapter: None };
    let adapter = Adapter { id: 1, generation: 1, name: "my-lora".into(), path: "/p/a".into(), base_model: None };
    let adapted = ExtraKeys { cache_salt: None, adapter: Some(Arc::new(adapter)) };
    for (algorithm, keys, expected) in [
        (HashAlgorithm::Sha256, &salted, "856b00a414a23a1320a1816cd39dfa64e85482ce0c8ed61b87c5bc79f4853f91"),
        (HashAlgorithm::Sha256Cbor, &salted, "5120bf3aae63777f9a1fffe3b29ed3fc95cd2a0cbe57e7d9a023664eeae72d30"),
        (HashAlgorithm::Sha256, &adapted, "535bbbe958e3953bc96dc16daca8ea67702083d26f9bf356697c6df090b29116"),
        (HashAlgorithm::Sha256Cbor, &adapted, "71f6a83c77360271901c56c0c843c4570f72de7d6a50d6ca3a6c0b20c5dab8b1"),
    ] {
        assert_eq!(hex(&chain(algorithm, "0", 8, &tokens, keys)[0].bytes), expected, "{algorithm:?}");
    }
}

#[test]
fn large_tokens_and_long_strings_are_written_as_python_writes_them() {
    let root = "1973e23848344dc43a988a9b478663803cfffe1243480253f9a3cf004b14aa7c";
    let parent: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&root[2 * at..2 * at + 2], 16).unwrap()).collect();
    let tokens = [0, 255, 256, 65_535, 65_536, 2_147_483_647, 2_147_483_648];
    let expected = format!(
        "8005954500000000000000432{}94284b004bff4d00014dffff4a000001004affffff7f8a05000000800074944e87942e",
        format_args!("0{root}")
    );
    assert_eq!(hex(&pickle::block(&parent, &tokens, &[])), expected);
    assert_eq!(hex(&pickle::text("")), "80059504000000000000008c00942e");
    let long = "x".repeat(256);
    assert_eq!(
        hex(&pickle::text(&long)),
        format!("800595070100000000000058000100 00{}942e", hex(long.as_bytes())).replace(' ', "")
    );
    assert_eq!(hex(&cbor::text("0")), "6130");
}

#[test]
fn the_64_bit_chains_of_the_first_simulators() {
    let algorithm = HashAlgorithm::Sha256Cbor64Bit;
    let tokens: Vec<u32> = (1..=32).collect();
    assert_eq!(BlockHasher::new(algorithm, 16, Some(""), 0, String::new()).root.as_u64(), 780114917913990099);
    assert_eq!(plain(algorithm, "", 16, &tokens), [12886194223934072076, 4237666839065381780]);
    assert_eq!(plain(algorithm, "42", 16, &tokens), [9442596223568401980, 10401597220457154048]);
    let tokens = [100, 200, 300, 70_000, u32::MAX, 0, 1, 2];
    assert_eq!(plain(algorithm, "42", 8, &tokens), [7162882460943556109]);
}

#[test]
fn the_chains_that_llm_d_computes_for_itself() {
    let tokens: Vec<u32> = (1..=32).collect();
    assert_eq!(plain(HashAlgorithm::CborFnv, "", 16, &tokens), [17846329336356658649, 10004932863060196522]);
    assert_eq!(plain(HashAlgorithm::CborFnv, "42", 16, &tokens), [5447546496480764625, 5574957457971759091]);
    let tokens = [100, 200, 300, 70_000, u32::MAX, 0, 1, 2];
    assert_eq!(plain(HashAlgorithm::CborFnv, "42", 8, &tokens), [9262010588685055244]);
    // What it would compute for a block with the media hash "sim_img": strings in a block's extra keys are that to it.
    let keys = ExtraKeys { cache_salt: Some("sim_img".into()), adapter: None };
    let tokens: Vec<u32> = (1..=32).collect();
    let hashes = chain(HashAlgorithm::CborFnv, "42", 16, &tokens, &keys);
    assert_eq!(hashes.iter().map(|hash| hash.as_u64()).collect::<Vec<_>>(), [0x68cdb99cc054e24d, 0x3a1ab4238650975a]);
}

#[test]
fn only_full_blocks_have_hashes_and_known_ones_are_kept() {
    let hasher = BlockHasher::new(HashAlgorithm::Sha256, 8, None, 0, String::new());
    let tokens: Vec<u32> = (0..20).collect();
    let (mut whole, mut grown) = (Vec::new(), Vec::new());
    hasher.extend(&mut whole, &tokens, &ExtraKeys::default());
    for end in [3, 8, 15, 20] {
        hasher.extend(&mut grown, &tokens[..end], &ExtraKeys::default());
    }
    assert_eq!((whole.len(), &whole), (2, &grown));
}
