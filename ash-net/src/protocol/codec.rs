//! Frames: 4 bytes of length, big-endian, then that many bytes of postcard.
//!
//! The bytes are those of `tokio_util`'s `LengthDelimitedCodec`, but that one allocates what a
//! header announces as soon as it sees it. Here memory follows the bytes that have arrived.

use serde::{Deserialize, Serialize};

/// How long the header of a frame is, in bytes.
pub(crate) const HEADER: usize = 4;

/// How much is read at once: at first, and once that much has come.
const LEAST: usize = 8 * 1024;
const MOST: usize = 32 * 1024;

/// A header announces a frame that is larger than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes is too large")]
pub(crate) struct FrameTooLarge(pub(crate) usize);

/// Takes frames out of a stream of bytes, without copying them.
#[derive(Debug)]
pub(crate) struct FrameDecoder {
    buffer: Vec<u8>,
    /// Where the first frame begins that has not been taken.
    start: usize,
    limit: usize,
    /// How much is read next.
    chunk: usize,
}

impl FrameDecoder {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, limit, chunk: LEAST }
    }

    /// Sets how large a frame may be from now on.
    pub(crate) const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Returns the buffer that the next bytes are to be appended to, with room for some.
    pub(crate) fn space(&mut self) -> &mut Vec<u8> {
        if self.buffer.len() >= self.chunk {
            self.chunk = MOST;
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.is_empty() {
            self.buffer.shrink_to(2 * MOST);
        }
        self.buffer.reserve(self.chunk);
        &mut self.buffer
    }

    /// Returns the body of the next frame, if all of it has arrived.
    ///
    /// After an error the rest of the stream cannot be decoded.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, FrameTooLarge> {
        let rest = &self.buffer[self.start..];
        let Some((header, rest)) = rest.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*header) as usize;
        if length > self.limit {
            return Err(FrameTooLarge(length));
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        self.start += HEADER + length;
        Ok(Some(body))
    }

    /// Returns what has arrived and was not taken.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Tells whether a frame has begun and not ended.
    pub(crate) const fn is_partial(&self) -> bool {
        self.start < self.buffer.len()
    }
}

/// Why a message cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EncodeError {
    /// It is larger than a frame may be.
    #[error("the message is larger than a frame may be")]
    TooLarge,
    /// It has no encoding.
    #[error("the message cannot be encoded")]
    Impossible,
}

/// Appends a frame. On an error nothing has been appended.
pub(crate) fn encode<T: Serialize>(
    message: &T,
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), EncodeError> {
    let (start, body) = (out.len(), out.len() + HEADER);
    let limit = limit.min(u32::MAX as usize);
    let mut room = ROOM.min(limit);
    let error = loop {
        out.resize(body + room, 0);
        let flavor = Slots { slots: &mut out[body..], used: 0 };
        match postcard::serialize_with_flavor(message, flavor) {
            Ok(length) => {
                let header = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
                out[start..body].copy_from_slice(&header);
                out.truncate(body + length);
                return Ok(());
            }
            Err(postcard::Error::SerializeBufferFull) if room < limit => {
                room = room.saturating_mul(8).min(limit);
            }
            Err(postcard::Error::SerializeBufferFull) => break EncodeError::TooLarge,
            Err(_) => break EncodeError::Impossible,
        }
    };
    out.truncate(start);
    Err(error)
}

/// How much room is made for a message at first, in bytes: most are shorter.
const ROOM: usize = 256;

/// Writes into a slice, and returns how much of it that took.
///
/// Messages are mostly single bytes, each of which costs one bounds check.
struct Slots<'a> {
    slots: &'a mut [u8],
    used: usize,
}

impl Slots<'_> {
    #[inline(never)]
    fn extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        let slots = self.slots[self.used..].get_mut(..data.len());
        slots.ok_or(postcard::Error::SerializeBufferFull)?.copy_from_slice(data);
        self.used += data.len();
        Ok(())
    }
}

impl postcard::ser_flavors::Flavor for Slots<'_> {
    type Output = usize;

    #[inline]
    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        let slot = self.slots.get_mut(self.used);
        *slot.ok_or(postcard::Error::SerializeBufferFull)? = data;
        self.used += 1;
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        if let [byte] = *data { self.try_push(byte) } else { self.extend(data) }
    }

    fn finalize(self) -> postcard::Result<usize> {
        Ok(self.used)
    }
}

/// Decodes the body of a frame, all of which must be used.
pub(crate) fn decode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    let (message, rest) = postcard::take_from_bytes(body).ok()?;
    rest.is_empty().then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use proptest::prelude::*;
    use tokio_util::codec::{Decoder, LengthDelimitedCodec};

    fn frames(decoder: &mut FrameDecoder) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| decoder.next().unwrap().map(<[u8]>::to_vec)).collect()
    }

    #[test]
    fn nothing_is_allocated_for_what_a_header_only_announces() {
        let mut decoder = FrameDecoder::new(1 << 30);
        decoder.space().extend_from_slice(&(1u32 << 30).to_be_bytes());
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.space().capacity() < 64 * 1024);
    }

    #[test]
    fn a_frame_over_the_limit_is_an_error_as_soon_as_its_header_is_there() {
        let mut decoder = FrameDecoder::new(10);
        decoder.space().extend_from_slice(&11u32.to_be_bytes());
        assert_eq!(decoder.next(), Err(FrameTooLarge(11)));
    }

    #[test]
    fn more_is_read_at_once_where_much_comes_and_what_is_left_keeps_its_place() {
        let mut decoder = FrameDecoder::new(MOST);
        assert!(decoder.space().capacity() < MOST);
        let frame = |byte| [&4u32.to_be_bytes()[..], &[byte; 4]].concat();
        let much: Vec<u8> = (0..LEAST / 8 + 1).flat_map(|_| frame(1)).collect();
        decoder.space().extend_from_slice(&much);
        decoder.space().extend_from_slice(&frame(2)[..5]);
        while decoder.next() == Ok(Some(&[1; 4])) {}
        assert!(decoder.is_partial());
        let space = decoder.space();
        assert_eq!(space.len(), 5);
        assert!(space.capacity() >= MOST);
        space.extend_from_slice(&[2; 3]);
        assert_eq!(decoder.next(), Ok(Some(&[2; 4][..])));
        assert!(!decoder.is_partial());
    }

    #[test]
    fn trailing_bytes_are_no_message() {
        assert_eq!(decode::<u8>(&[7]), Some(7));
        assert_eq!(decode::<u8>(&[7, 0]), None);
        assert_eq!(decode::<u8>(&[]), None);
    }

    #[test]
    fn what_does_not_fit_leaves_nothing_behind() {
        let mut out = vec![1, 2];
        assert_eq!(encode(&"too long", &mut out, 4), Err(EncodeError::TooLarge));
        assert_eq!(out, [1, 2]);
        assert_eq!(encode(&"abc", &mut out, 4), Ok(()));
        assert_eq!(out, [1, 2, 0, 0, 0, 4, 3, b'a', b'b', b'c']);
    }

    #[test]
    fn what_is_longer_than_the_first_room_fits_up_to_the_limit_and_no_further() {
        for length in [ROOM - 3, ROOM - 2, ROOM - 1, ROOM, 8 * ROOM, 100 * ROOM] {
            let text = "x".repeat(length);
            // Before the text stands its length, seven bits a byte.
            let size = length + if length < 1 << 14 { 2 } else { 3 };
            let mut out = vec![9];
            assert_eq!(encode(&text, &mut out, size - 1), Err(EncodeError::TooLarge));
            assert_eq!(out, [9]);
            assert_eq!(encode(&text, &mut out, size), Ok(()));
            assert_eq!(out.len(), 1 + HEADER + size);
            assert_eq!(decode::<&str>(&out[1 + HEADER..]), Some(&*text));
        }
    }

    proptest! {
        #[test]
        fn frames_come_out_however_the_bytes_arrive(
            texts in proptest::collection::vec(".{0,40}", 0..8),
            cuts in proptest::collection::vec(1usize..20, 1..40),
        ) {
            let mut bytes = Vec::new();
            for text in &texts {
                encode(text, &mut bytes, 4_096).unwrap();
            }
            let mut decoder = FrameDecoder::new(4_096);
            let mut reference = LengthDelimitedCodec::builder().max_frame_length(4_096).new_codec();
            let (mut theirs, mut buffer) = (Vec::new(), BytesMut::new());
            let (mut ours, mut rest, mut cut) = (Vec::new(), &bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cut.next().unwrap()).min(rest.len()));
                decoder.space().extend_from_slice(now);
                buffer.extend_from_slice(now);
                ours.extend(frames(&mut decoder));
                while let Some(frame) = reference.decode(&mut buffer).unwrap() {
                    theirs.push(frame.to_vec());
                }
                rest = later;
            }
            prop_assert!(!decoder.is_partial());
            prop_assert_eq!(&ours, &theirs);
            let decoded: Vec<String> = ours.iter().map(|body| decode(body).unwrap()).collect();
            prop_assert_eq!(decoded, texts);
        }

        #[test]
        fn garbage_is_never_more_than_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut decoder = FrameDecoder::new(64);
            decoder.space().extend_from_slice(&bytes);
            while let Ok(Some(body)) = decoder.next() {
                let _ = decode::<crate::protocol::ClientFrame>(body);
                let _ = decode::<crate::protocol::ServerFrame>(body);
            }
        }
    }
}
