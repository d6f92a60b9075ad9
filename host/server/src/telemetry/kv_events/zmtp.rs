//! ZMTP 3, as much of it as a ROUTER needs that answers each of its clients on a task of its own. The library's ROUTER
//! has one queue of 100,000 messages a client and locks around them all: a client that asks and does not read can bring
//! it to a halt, and the runtime with it.

use std::io::{Error, ErrorKind, Result};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};

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

/// Clients of ours send less in one message.
const MOST_BYTES: u64 = 64 << 10;

/// The other side of a connection.
pub(super) struct Peer<S> {
    stream: BufStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Greets whoever connected. Fails if that is nobody who speaks ZMTP 3 and asks a ROUTER.
    pub(super) async fn greet(stream: S) -> Result<Self> {
        let mut peer = Self { stream: BufStream::new(stream) };
        peer.stream.write_all(&GREETING).await?;
        peer.stream.flush().await?;
        let mut greeting = [0; GREETING.len()];
        peer.stream.read_exact(&mut greeting).await?;
        if (greeting[0], greeting[9]) != (0xff, 0x7f) || greeting[10] < 3 || greeting[12..32] != GREETING[12..32] {
            return Err(invalid("it does not speak ZMTP 3 without a password"));
        }
        peer.frame(COMMAND, &ready("ROUTER")).await?;
        peer.stream.flush().await?;
        let (flags, command) = peer.read_frame().await?;
        let is_client =
            ["REQ", "DEALER", "ROUTER"].iter().any(|kind| contains(&command, &property("Socket-Type", kind)));
        if flags & COMMAND == 0 || !command.starts_with(b"\x05READY") || !is_client {
            return Err(invalid("it is no socket that asks"));
        }
        Ok(peer)
    }

    /// The frames of the next message. Answers heartbeats meanwhile.
    pub(super) async fn receive(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        let mut left = MOST_BYTES;
        loop {
            let (flags, body) = self.read_frame().await?;
            if flags & COMMAND != 0 {
                // PING, with a time-to-live of 2 bytes and a context that is sent back.
                if let Some(ping) = body.strip_prefix(b"\x04PING") {
                    let pong = [b"\x04PONG", ping.get(2..).unwrap_or_default()].concat();
                    self.frame(COMMAND, &pong).await?;
                    self.stream.flush().await?;
                }
                continue;
            }
            left = left.checked_sub(body.len() as u64 + 1).ok_or_else(|| invalid("its message is too large"))?;
            frames.push(body);
            if flags & MORE == 0 {
                return Ok(frames);
            }
        }
    }

    /// Writes a message; [`Self::flush`] sends it.
    pub(super) async fn send(&mut self, frames: &[Bytes]) -> Result<()> {
        for (at, frame) in frames.iter().enumerate() {
            let more = if at + 1 < frames.len() { MORE } else { 0 };
            self.frame(more, frame).await?;
        }
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> Result<()> {
        self.stream.flush().await
    }

    async fn frame(&mut self, flags: u8, body: &[u8]) -> Result<()> {
        match u8::try_from(body.len()) {
            Ok(length) => self.stream.write_all(&[flags, length]).await?,
            Err(_) => {
                self.stream.write_u8(flags | LONG).await?;
                self.stream.write_u64(body.len() as u64).await?;
            }
        }
        self.stream.write_all(body).await
    }

    async fn read_frame(&mut self) -> Result<(u8, Vec<u8>)> {
        let flags = self.stream.read_u8().await?;
        let length =
            if flags & LONG != 0 { self.stream.read_u64().await? } else { self.stream.read_u8().await?.into() };
        if length > MOST_BYTES {
            return Err(invalid("its message is too large"));
        }
        let mut body = vec![0; length as usize];
        self.stream.read_exact(&mut body).await?;
        Ok((flags, body))
    }
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
mod tests {
    use super::*;

    /// What a DEALER sends: its greeting, who it is, a heartbeat, and one message of two frames.
    #[tokio::test]
    async fn a_dealer_is_greeted_understood_and_answered() {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let ours = tokio::spawn(async move {
            let mut peer = Peer::greet(ours).await.unwrap();
            let frames = peer.receive().await.unwrap();
            peer.send(&[Bytes::new(), Bytes::from(vec![7; 300])]).await.unwrap();
            peer.flush().await.unwrap();
            frames
        });
        let mut greeting = GREETING;
        greeting[11] = 1;
        theirs.write_all(&greeting).await.unwrap();
        theirs.write_all(b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0").await.unwrap();
        theirs.write_all(b"\x04\x09\x04PING\0\0xy\x01\0\0\x08\0\0\0\0\0\0\0\x05").await.unwrap();
        assert_eq!(ours.await.unwrap(), [vec![], vec![0, 0, 0, 0, 0, 0, 0, 5]]);
        let mut said = Vec::new();
        theirs.read_to_end(&mut said).await.unwrap();
        let ready = b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0";
        let answer = [&b"\x04\x07\x04PONGxy\x01\0\x02\0\0\0\0\0\0\x01\x2c"[..], &[7; 300]].concat();
        assert_eq!(said, [&GREETING[..], ready, &answer].concat());
    }

    #[tokio::test]
    async fn others_are_not_talked_to() {
        for said in [
            &b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: a browser that is lost\r\n\r\n"[..],
            &[0xff; 64],
        ] {
            let (ours, mut theirs) = tokio::io::duplex(4096);
            theirs.write_all(said).await.unwrap();
            assert!(Peer::greet(ours).await.is_err());
        }
    }
}
