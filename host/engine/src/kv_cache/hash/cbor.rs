//! The CBOR that hashes are taken of: canonical, so integers in their shortest form and lengths known.

use minicbor::Encoder;

/// The block before.
pub(super) enum Parent<'a> {
    /// All of its digest.
    Digest(&'a [u8]),
    /// 64 bits of it.
    Number(u64),
}

/// What sets blocks of equal tokens apart; null if empty.
pub(super) enum Extra<'a> {
    /// Tuples that begin with their kind.
    Tagged(Vec<Vec<&'a str>>),
    /// Bare strings.
    Names(Vec<&'a str>),
    /// llm-d's form: a list of maps with one key.
    Hashes(Option<&'a str>),
}

/// `(parent, tokens, extra)`
pub(super) fn block(parent: Parent<'_>, tokens: &[u32], extra: &Extra<'_>) -> Vec<u8> {
    written(|cbor| {
        cbor.array(3)?;
        match parent {
            Parent::Digest(digest) => cbor.bytes(digest)?,
            Parent::Number(number) => cbor.u64(number)?,
        };
        cbor.array(tokens.len() as u64)?;
        for token in tokens {
            cbor.u32(*token)?;
        }
        match extra {
            Extra::Tagged(keys) if !keys.is_empty() => {
                cbor.array(keys.len() as u64)?;
                keys.iter().try_for_each(|key| strings(cbor, key))
            }
            Extra::Names(names) if !names.is_empty() => strings(cbor, names),
            Extra::Hashes(Some(hash)) => cbor.array(1)?.map(1)?.str("Hash")?.str(hash)?.ok(),
            Extra::Tagged(_) | Extra::Names(_) | Extra::Hashes(None) => cbor.null()?.ok(),
        }
    })
}

/// llm-d's root of a model's chains: `(root, null, model)`.
pub(super) fn model_root(root: u64, model: &str) -> Vec<u8> {
    written(|cbor| cbor.array(3)?.u64(root)?.null()?.str(model)?.ok())
}

/// A string alone.
pub(super) fn text(text: &str) -> Vec<u8> {
    written(|cbor| cbor.str(text)?.ok())
}

type Outcome = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn strings(cbor: &mut Encoder<Vec<u8>>, strings: &[&str]) -> Outcome {
    cbor.array(strings.len() as u64)?;
    strings.iter().try_for_each(|string| cbor.str(string)?.ok())
}

fn written(write: impl FnOnce(&mut Encoder<Vec<u8>>) -> Outcome) -> Vec<u8> {
    let mut cbor = Encoder::new(Vec::with_capacity(128));
    write(&mut cbor).expect("a vector takes everything");
    cbor.into_writer()
}
