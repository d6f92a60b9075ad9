//! The bytes that Python's `pickle.dumps(…, protocol=5)` makes of what vLLM hashes. No crate writes these very bytes:
//! they depend on what CPython's pickler remembers, which for fresh objects is every string, byte string and tuple.
//!
//! Python leaves its frame for strings of 64 KiB and more, which we do not: a `cache_salt` of that length has another
//! hash here.

const PROTOCOL_5: [u8; 2] = [0x80, 5];
const FRAME: u8 = 0x95;
const STOP: u8 = b'.';
const NONE: u8 = b'N';
const MARK: u8 = b'(';
const TUPLE: u8 = b't';
const EMPTY_TUPLE: u8 = b')';
/// `TUPLE1` to `TUPLE3`.
const SHORT_TUPLES: [u8; 3] = [0x85, 0x86, 0x87];
const MEMOIZE: u8 = 0x94;

/// `(parent, tokens, extra)`; `extra` is `None` if it is empty.
pub(super) fn block(parent: &[u8], tokens: &[u32], extra: &[Vec<&str>]) -> Vec<u8> {
    framed(|out| {
        tuple(out, 3, |out, part| match part {
            0 => bytes(out, parent),
            1 => tuple(out, tokens.len(), |out, at| integer(out, tokens[at])),
            _ if extra.is_empty() => out.push(NONE),
            _ => tuple(out, extra.len(), |out, at| {
                tuple(out, extra[at].len(), |out, part| string(out, extra[at][part]));
            }),
        });
    })
}

/// A string alone.
pub(super) fn text(text: &str) -> Vec<u8> {
    framed(|out| string(out, text))
}

fn framed(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = Vec::with_capacity(256);
    write(&mut frame);
    frame.push(STOP);
    let length = (frame.len() as u64).to_le_bytes();
    [&PROTOCOL_5[..], &[FRAME], &length, &frame].concat()
}

fn tuple(out: &mut Vec<u8>, length: usize, mut write: impl FnMut(&mut Vec<u8>, usize)) {
    if length == 0 {
        return out.push(EMPTY_TUPLE);
    }
    let end = match SHORT_TUPLES.get(length - 1) {
        Some(short) => *short,
        None => {
            out.push(MARK);
            TUPLE
        }
    };
    (0..length).for_each(|at| write(out, at));
    out.extend([end, MEMOIZE]);
}

fn integer(out: &mut Vec<u8>, value: u32) {
    let bytes = value.to_le_bytes();
    match value {
        0..=0xff => out.extend([b'K', bytes[0]]),
        0x100..=0xffff => out.extend([b'M', bytes[0], bytes[1]]),
        // A signed number of 4 bytes.
        0x1_0000..=0x7fff_ffff => {
            out.push(b'J');
            out.extend(bytes);
        }
        0x8000_0000.. => {
            out.extend([0x8a, 5]);
            out.extend(bytes);
            out.push(0);
        }
    }
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    // Digests only: at most 32 bytes.
    out.extend([b'C', value.len() as u8]);
    out.extend(value);
    out.push(MEMOIZE);
}

fn string(out: &mut Vec<u8>, value: &str) {
    match u8::try_from(value.len()) {
        Ok(length) => out.extend([0x8c, length]),
        Err(_) => {
            out.push(b'X');
            out.extend((value.len() as u32).to_le_bytes());
        }
    }
    out.extend(value.as_bytes());
    out.push(MEMOIZE);
}
