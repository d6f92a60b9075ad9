//! ZMTP 3, as much of it as the sockets need that serve each of their peers on a task of its own. The library's sockets
//! bound nothing: its ROUTER comes to a halt where a client does not read, and its PUB keeps gigabytes for a subscriber that
//! does not.

use std::io::{Error, ErrorKind, Result};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter, ReadHalf, WriteHalf, split};

/// Signature, version 3.0, mechanism NULL, not a server in the sense of any other mechanism.
const GREETING: [u8; 64] = {
    let mut greeting = [0; 64];
    (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
    (greeting[12], greeting[13], greeting[14], greeting[15]) = (b'N', b'U', b'L', b'L');
    greeting
};

/// Bits of a frame's first byte.
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// Peers of ours send less in one message.
const MOST_BYTES: u64 = 64 << 10;

/// What a socket of ours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Router,
    Pub,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Router => "ROUTER",
            Self::Pub => "PUB",
        }
    }

    /// What it can talk to.
    fn peers(self) -> &'static [&'static str] {
        match self {
            Self::Router => &["REQ", "DEALER", "ROUTER"],
            Self::Pub => &["SUB", "XSUB"],
        }
    }
}

/// Where a peer's words come from.
pub(super) struct Reader<S>(BufReader<ReadHalf<S>>);

/// Where ours go.
pub(super) struct Writer<S>(BufWriter<WriteHalf<S>>);

/// What a peer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The frames of a message.
    Message(Vec<Vec<u8>>),
    /// A command: its name and what follows.
    Command(Vec<u8>, Vec<u8>),
}

impl Said {
    /// The answer to a heartbeat, if this is one: its context is sent back.
    pub(super) fn pong(&self) -> Option<Vec<u8>> {
        match self {
            // A time-to-live of 2 bytes comes first.
            Self::Command(name, body) if name == b"PING" => {
                Some([b"\x04PONG", body.get(2..).unwrap_or_default()].concat())
            }
            _ => None,
        }
    }
}

/// Greets the other end, as a socket of this kind. Fails if that does not speak ZMTP 3, or is no peer of this kind.
pub(super) async fn greet<S: AsyncRead + AsyncWrite>(stream: S, kind: Kind) -> Result<(Reader<S>, Writer<S>)> {
    let (read, write) = split(stream);
    let (mut reader, mut writer) = (Reader(BufReader::new(read)), Writer(BufWriter::new(write)));
    writer.0.write_all(&GREETING).await?;
    writer.0.flush().await?;
    let mut greeting = [0; GREETING.len()];
    reader.0.read_exact(&mut greeting).await?;
    if (greeting[0], greeting[9]) != (0xff, 0x7f) || greeting[10] < 3 || greeting[12..32] != GREETING[12..32] {
        return Err(invalid("it does not speak ZMTP 3 without a password"));
    }
    writer.command(&ready(kind.name())).await?;
    writer.flush().await?;
    let Said::Command(name, properties) = reader.next().await? else {
        return Err(invalid("it does not say what it is"));
    };
    let is_peer = kind.peers().iter().any(|peer| contains(&properties, &property("Socket-Type", peer)));
    if name != b"READY" || !is_peer {
        return Err(invalid("it is no socket that talks to this one"));
    }
    Ok((reader, writer))
}

impl<S: AsyncRead> Reader<S> {
    /// The next message or command.
    pub(super) async fn next(&mut self) -> Result<Said> {
        let mut frames = Vec::new();
        let mut left = MOST_BYTES;
        loop {
            let (flags, body) = self.frame().await?;
            if flags & COMMAND != 0 {
                let (length, rest) = body.split_first().ok_or_else(|| invalid("its command has no name"))?;
                let name_and_rest = rest.split_at_checked((*length).into());
                let (name, rest) = name_and_rest.ok_or_else(|| invalid("its command's name is cut"))?;
                return Ok(Said::Command(name.to_vec(), rest.to_vec()));
            }
            left = left.checked_sub(body.len() as u64 + 1).ok_or_else(|| invalid("its message is too large"))?;
            frames.push(body);
            if flags & MORE == 0 {
                return Ok(Said::Message(frames));
            }
        }
    }

    async fn frame(&mut self) -> Result<(u8, Vec<u8>)> {
        let flags = self.0.read_u8().await?;
        let length = if flags & LONG != 0 { self.0.read_u64().await? } else { self.0.read_u8().await?.into() };
        if length > MOST_BYTES {
            return Err(invalid("its message is too large"));
        }
        let mut body = vec![0; length as usize];
        self.0.read_exact(&mut body).await?;
        Ok((flags, body))
    }
}

impl<S: AsyncWrite> Writer<S> {
    /// Writes a message or several that [`encode`] made; [`Self::flush`] sends them.
    pub(super) async fn write(&mut self, encoded: &[u8]) -> Result<()> {
        self.0.write_all(encoded).await
    }

    /// Writes a command, its name's length and its name included.
    pub(super) async fn command(&mut self, command: &[u8]) -> Result<()> {
        let mut encoded = Vec::new();
        frame(&mut encoded, COMMAND, command);
        self.write(&encoded).await
    }

    pub(super) async fn flush(&mut self) -> Result<()> {
        self.0.flush().await
    }

    /// Sends what was written, and says that nothing follows.
    pub(super) async fn end(&mut self) -> Result<()> {
        self.0.shutdown().await
    }
}

/// A message as it is on the wire.
pub(super) fn encode(frames: &[Bytes]) -> Bytes {
    let mut encoded = Vec::with_capacity(frames.iter().map(|frame| frame.len() + 9).sum());
    for (at, body) in frames.iter().enumerate() {
        let more = if at + 1 < frames.len() { MORE } else { 0 };
        frame(&mut encoded, more, body);
    }
    encoded.into()
}

fn frame(encoded: &mut Vec<u8>, flags: u8, body: &[u8]) {
    match u8::try_from(body.len()) {
        Ok(length) => encoded.extend([flags, length]),
        Err(_) => {
            encoded.push(flags | LONG);
            encoded.extend((body.len() as u64).to_be_bytes());
        }
    }
    encoded.extend_from_slice(body);
}

/// The command that says what kind of socket this is.
fn ready(kind: &str) -> Vec<u8> {
    [b"\x05READY".to_vec(), property("Socket-Type", kind), property("Identity", "")].concat()
}

fn property(name: &str, value: &str) -> Vec<u8> {
    let length = (value.len() as u32).to_be_bytes();
    [&[name.len() as u8], name.as_bytes(), &length, value.as_bytes()].concat()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::io::DuplexStream;

    use super::*;

    /// What a socket of this kind says first: its greeting, and what it is.
    pub(crate) fn hello(kind: &str) -> Vec<u8> {
        let mut hello = GREETING.to_vec();
        hello[11] = 1;
        frame(&mut hello, COMMAND, &ready(kind));
        hello
    }

    /// What a DEALER sends: its greeting, its identity, a heartbeat, and one message of two frames.
    #[tokio::test]
    async fn a_dealer_is_greeted_understood_and_answered() {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let ours = tokio::spawn(async move {
            let (mut reader, mut writer) = greet(ours, Kind::Router).await.unwrap();
            let ping = reader.next().await.unwrap();
            writer.command(&ping.pong().unwrap()).await.unwrap();
            let message = reader.next().await.unwrap();
            writer.write(&encode(&[Bytes::new(), Bytes::from(vec![7; 300])])).await.unwrap();
            writer.end().await.unwrap();
            message
        });
        let mut greeting = GREETING;
        greeting[11] = 1;
        theirs.write_all(&greeting).await.unwrap();
        theirs.write_all(b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0").await.unwrap();
        theirs.write_all(b"\x04\x09\x04PING\0\0xy\x01\0\0\x08\0\0\0\0\0\0\0\x05").await.unwrap();
        let mut said = Vec::new();
        theirs.read_to_end(&mut said).await.unwrap();
        assert_eq!(ours.await.unwrap(), Said::Message(vec![vec![], vec![0, 0, 0, 0, 0, 0, 0, 5]]));
        let ready = b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0";
        let answer = [&b"\x04\x07\x04PONGxy\x01\0\x02\0\0\0\0\0\0\x01\x2c"[..], &[7; 300]].concat();
        assert_eq!(said, [&GREETING[..], ready, &answer].concat());
    }

    #[tokio::test]
    async fn others_are_not_talked_to() {
        let browser = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: a browser that is lost\r\n\r\n";
        for said in [browser.to_vec(), vec![0xff; 64], hello("SUB")] {
            let (ours, mut theirs): (DuplexStream, _) = tokio::io::duplex(4096);
            theirs.write_all(&said).await.unwrap();
            assert!(greet(ours, Kind::Router).await.is_err());
        }
    }
}
