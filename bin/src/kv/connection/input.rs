//! What has been read and not yet answered.

/// Room for a first read: some hundred requests of a benchmark, one of most clients.
const ROOM_BYTES: usize = 4 * 1024;

/// Room that an idle connection keeps.
const KEPT_BYTES: usize = 64 * 1024;

/// A buffer whose front is consumed and whose back is read into.
#[derive(Debug)]
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    pub(super) fn new() -> Input {
        Input {
            bytes: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    /// What is to be answered.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Room to read into. It doubles when a request fills it: memory follows what has come, not what was announced.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.end == self.bytes.len() {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.bytes.len() - self.end < ROOM_BYTES {
                let length = (self.bytes.len() * 2).max(ROOM_BYTES);
                self.bytes.resize(length, 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// `count` bytes were read into the room.
    pub(super) fn filled(&mut self, count: usize) {
        self.end += count;
    }

    /// The first `count` bytes are answered.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Gives back the room that a large request needed.
    pub(super) fn tidy(&mut self) {
        if self.start == self.end && self.bytes.len() > KEPT_BYTES {
            *self = Input::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(input: &mut Input, bytes: &[u8]) {
        for byte in bytes {
            input.room()[0] = *byte;
            input.filled(1);
        }
    }

    #[test]
    fn what_is_read_is_there_until_it_is_consumed() {
        let mut input = Input::new();
        let bytes: Vec<u8> = (0..20_000_u32).map(|number| number as u8).collect();
        fill(&mut input, &bytes);
        assert_eq!(input.bytes(), bytes);
        input.consume(15_000);
        fill(&mut input, &bytes);
        assert_eq!(input.bytes(), [&bytes[15_000..], &bytes].concat());
        input.consume(25_000);
        assert!(input.bytes().is_empty());
    }

    #[test]
    fn a_large_request_leaves_no_large_buffer() {
        let mut input = Input::new();
        fill(&mut input, &[0; 2 * KEPT_BYTES]);
        input.tidy();
        assert_eq!(input.bytes().len(), 2 * KEPT_BYTES);
        input.consume(2 * KEPT_BYTES);
        input.tidy();
        assert!(input.bytes.is_empty());
    }
}
