//! Batches: the commands that a connection sends to the store in one message.
//!
//! A command is one byte for its name, four for the number of its arguments without the name, and for each of them four
//! of length and the bytes themselves. What a connection has parsed and found to be a command with enough arguments
//! need not be parsed and found again.

use super::command::Command;
use super::resp::{Arguments, Span};

/// A batch in the making.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    /// How many bytes are answered.
    start: usize,
    commands: usize,
}

impl Batch {
    /// Nothing yet.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Adds a command.
    pub fn push(&mut self, command: &Command, arguments: Arguments<'_>) {
        self.bytes.push(command.name as u8);
        self.push_length(arguments.len() - 1);
        for argument in arguments.from(1) {
            self.push_length(argument.len());
            self.bytes.extend_from_slice(argument);
        }
        self.commands += 1;
    }

    /// A request is under 4 GiB, by the limits' own limit.
    fn push_length(&mut self, length: usize) {
        self.bytes.extend_from_slice(&(length as u32).to_le_bytes());
    }

    /// The first commands, of so many bytes, are answered.
    pub fn answered(&mut self, commands: usize, bytes: usize) {
        self.commands -= commands;
        self.start += bytes;
    }

    /// How many commands there are.
    pub fn commands(&self) -> usize {
        self.commands
    }

    /// The message.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Forgets the commands, and gives back room above `capacity` bytes.
    pub fn clear(&mut self, capacity: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(capacity);
        self.start = 0;
        self.commands = 0;
    }
}

/// Reads a batch, one command at a time.
#[derive(Debug, Default)]
pub struct BatchReader {
    spans: Vec<Span>,
}

impl BatchReader {
    /// The command at `position` in the batch, and where the next one begins. `None` for what is no batch.
    pub fn read<'a>(
        &'a mut self,
        batch: &'a [u8],
        position: usize,
    ) -> Option<(&'static Command, Arguments<'a>, usize)> {
        let command = Command::all().get(usize::from(*batch.get(position)?))?;
        let (count, mut position) = length(batch, position + 1)?;
        self.spans.clear();
        // Arguments are counted from the name on, which the batch has not as text.
        self.spans.push(Span::new(0, 0));
        for _ in 0..count {
            let (length, start) = length(batch, position)?;
            position = start + length;
            self.spans.push(Span::new(start, position));
        }
        (position <= batch.len()).then(|| (command, Arguments::new(batch, &self.spans), position))
    }
}

fn length(batch: &[u8], position: usize) -> Option<(usize, usize)> {
    let bytes = batch.get(position..)?.first_chunk()?;
    Some((u32::from_le_bytes(*bytes) as usize, position + 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::resp::{Parser, ParserLimits};

    #[test]
    fn commands_come_out_as_they_went_in() {
        let requests: [&[u8]; 3] = [
            b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n",
            b"*1\r\n$6\r\nDBSIZE\r\n",
            b"*2\r\n$3\r\nget\r\n$1\r\nk\r\n",
        ];
        let mut batch = Batch::new();
        for request in requests {
            let mut parser = Parser::new(ParserLimits {
                frame_bytes: 100,
                value_bytes: 100,
                arguments: 10,
            });
            let length = parser.parse(request).unwrap().unwrap();
            let arguments = parser.arguments(request, length);
            batch.push(Command::find(&arguments[0]).unwrap(), arguments);
        }
        assert_eq!(batch.commands(), 3);
        let mut reader = BatchReader::default();
        let (mut position, mut seen) = (0, Vec::new());
        while position < batch.as_bytes().len() {
            let (command, arguments, next) = reader.read(batch.as_bytes(), position).unwrap();
            let words = arguments
                .from(1)
                .map(|word| String::from_utf8(word.to_vec()).unwrap());
            seen.push((command.text, words.collect::<Vec<_>>()));
            position = next;
        }
        let expected = [
            ("set", vec!["k", ""]),
            ("dbsize", vec![]),
            ("get", vec!["k"]),
        ];
        assert_eq!(
            seen,
            expected.map(|(name, words)| (name, words.into_iter().map(str::to_owned).collect()))
        );
    }

    #[test]
    fn what_is_no_batch_is_not_read() {
        let mut reader = BatchReader::default();
        for bytes in [
            &b""[..],
            &[255],
            &[0, 1],
            &[0, 1, 0, 0, 0],
            &[0, 1, 0, 0, 0, 9, 0, 0, 0, b'x'],
        ] {
            assert!(reader.read(bytes, 0).is_none(), "{bytes:?}");
        }
    }
}
