//! The compressed form, by steps: tag 80, the size of the plain term, a zlib stream.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::error::DecodeErrorKind;
use super::limits::{CHUNK_BYTES, DEFLATED_BYTES_PER_WORK, INFLATED_BYTES_PER_WORK};

/// A stream that is being inflated.
#[derive(Debug)]
pub(super) struct Inflater {
    zlib: Decompress,
    // What came out so far. Grows as it is filled: the announced size is only a promise.
    pub(super) out: Vec<u8>,
    announced: u32,
}

impl Inflater {
    pub(super) fn new(announced: u32) -> Inflater {
        Inflater {
            zlib: Decompress::new(true),
            out: Vec::new(),
            announced,
        }
    }

    /// Bytes of the input that were used so far.
    pub(super) fn used(&self) -> usize {
        self.zlib.total_in() as usize
    }

    /// Inflates the next piece of the stream, which is all the input; gives the work done, and
    /// whether the stream ended as announced.
    pub(super) fn step(&mut self, stream: &[u8]) -> Result<(usize, bool), DecodeErrorKind> {
        let announced = self.announced;
        let size = DecodeErrorKind::InflatedSize { announced };
        // One byte over what was announced: to write there is to break the promise.
        let left = announced as usize + 1 - self.out.len();
        let before = self.out.len();
        let chunk = left.min(CHUNK_BYTES);
        let (end, used) = (before + chunk, self.used());
        self.out.resize(end, 0);
        let status = self
            .zlib
            .decompress(
                &stream[used..],
                &mut self.out[before..],
                FlushDecompress::None,
            )
            .map_err(|_| DecodeErrorKind::Zlib)?;
        let made = self.zlib.total_out() as usize - before;
        self.out.truncate(before + made);
        let work = 1 + made / INFLATED_BYTES_PER_WORK;
        if self.out.len() > announced as usize {
            return Err(size);
        }
        match status {
            Status::StreamEnd if self.out.len() == announced as usize => Ok((work, true)),
            Status::StreamEnd => Err(size),
            // Room was left, and yet nothing came: the input has ended.
            _ if self.out.len() < end && self.used() == stream.len() => Err(DecodeErrorKind::End {
                expected: "the rest of the zlib stream",
            }),
            _ if made == 0 && self.used() == used => Err(DecodeErrorKind::Zlib),
            _ => Ok((work, false)),
        }
    }
}

/// Bytes that are being deflated.
#[derive(Debug)]
pub(super) struct Deflater {
    zlib: Compress,
    pub(super) out: Vec<u8>,
}

impl Deflater {
    /// What is made goes behind `out`.
    pub(super) fn new(level: u8, out: Vec<u8>) -> Deflater {
        Deflater {
            zlib: Compress::new(Compression::new(level.into()), true),
            out,
        }
    }

    /// Deflates the next piece of the bytes; gives the work done, and whether it was the last.
    pub(super) fn step(&mut self, plain: &[u8]) -> (usize, bool) {
        let used = self.zlib.total_in() as usize;
        let end = plain.len().min(used + CHUNK_BYTES);
        let flush = if end == plain.len() {
            FlushCompress::Finish
        } else {
            FlushCompress::None
        };
        self.out.reserve(CHUNK_BYTES);
        let status = self
            .zlib
            .compress_vec(&plain[used..end], &mut self.out, flush)
            .expect("the stream's state is its own, and was not ended before");
        let work = 1 + (self.zlib.total_in() as usize - used) / DEFLATED_BYTES_PER_WORK;
        (work, status == Status::StreamEnd)
    }
}
