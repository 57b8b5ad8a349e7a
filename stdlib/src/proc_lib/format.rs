//! Crash reports as text. `proc_lib:report_cb/2`.

use std::fmt::{Display, Write};

use otp_vm::{Atom, Builder, InitialCall, OwnedTerm, Status, Term, View};

use super::crash_report::{Class, CrashReport, Dictionary, Neighbour};

/// Longest text of a report in an event of `tracing`, in characters. Chosen by feel: a few screens.
pub(crate) const EVENT_LIMIT_CHARS: usize = 8192;

/// How a report is printed. The options of `proc_lib:report_cb/2` and `proc_lib:format/3`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Format {
    depth: Option<usize>,
    chars_limit: Option<usize>,
    single_line: bool,
    latin1: bool,
}

impl Format {
    /// All of it, in lines, as Unicode.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts terms off so deep, and lists after so many elements: `...` is in place of the rest. `depth`.
    pub fn depth(mut self, depth: usize) -> Self {
        self.depth = Some(depth);
        self
    }

    /// Has the text about that long: each term gets an eighth of it, of neighbours only their pids are told, and what
    /// is too long all the same is cut off. `chars_limit`.
    pub fn chars_limit(mut self, chars: usize) -> Self {
        self.chars_limit = Some(chars);
        self
    }

    /// All in one line. `single_line`.
    pub fn single_line(mut self, single_line: bool) -> Self {
        self.single_line = single_line;
        self
    }

    /// Characters past 255 as `\x{…}`. `encoding => latin1`.
    pub fn latin1(mut self, latin1: bool) -> Self {
        self.latin1 = latin1;
        self
    }

    pub(crate) fn is_single_line(&self) -> bool {
        self.single_line
    }

    /// Cuts off what is longer than so many times the limit.
    pub(crate) fn cut(&self, text: String, times: usize) -> String {
        cut_off(
            text,
            self.chars_limit.map_or(usize::MAX, |chars| times * chars),
        )
    }

    pub(crate) fn term(&self, term: Term<'_>) -> String {
        let cut = self.depth.and_then(|depth| limit_term(term, depth));
        let term = cut.as_ref().map_or(term, OwnedTerm::root);
        let share = self.chars_limit.map_or(usize::MAX, |chars| chars / 8);
        if self.latin1 {
            cut_off(term.display_latin1().to_string(), share)
        } else {
            term.display_limited(share).to_string()
        }
    }

    /// A list of what is no term here; cut like one.
    pub(crate) fn list(&self, elements: impl IntoIterator<Item = String>) -> String {
        let shown = self.depth.unwrap_or(usize::MAX);
        let mut text = String::from("[");
        for (at, element) in elements.into_iter().enumerate() {
            if at == shown {
                text.push_str(",...");
                break;
            }
            if at > 0 {
                text.push(',');
            }
            text.push_str(&element);
        }
        text.push(']');
        cut_off(text, self.chars_limit.map_or(usize::MAX, |chars| chars / 8))
    }

    fn entries(&self, dictionary: &Dictionary) -> String {
        let entries = dictionary.iter().map(|(key, value)| {
            let (key, value) = (self.term(key.root()), self.term(value.root()));
            format!("{{{key},{value}}}")
        });
        self.list(entries)
    }

    fn atom(&self, atom: Atom) -> String {
        self.term(OwnedTerm::from(atom).root())
    }
}

fn cut_off(mut text: String, chars: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(chars) {
        text.truncate(at);
        text.push_str("...");
    }
    text
}

/// A term so deep and no deeper, as `error_logger:limit_term/1`: each level, and each element, takes one off.
fn limit_term(term: Term<'_>, depth: usize) -> Option<OwnedTerm> {
    let mut builder = Builder::<()>::new();
    let dots = Atom::new("...").ok()?;
    push_limited(&mut builder, term, depth.min(MAX_DEPTH), dots);
    builder.finish(()).ok()
}

/// Deepest cut: printing recurses so far at most. Deeper terms are cut there.
const MAX_DEPTH: usize = 500;

fn push_limited(to: &mut Builder<()>, term: Term<'_>, depth: usize, dots: Atom) {
    if depth == 0 {
        to.atom(dots);
        return;
    }
    match term.view() {
        View::Tuple(tuple) => {
            let shown = tuple.len().min(depth - 1);
            for (at, element) in tuple.iter().take(shown).enumerate() {
                push_limited(to, element, depth - 1 - at, dots);
            }
            if shown < tuple.len() {
                to.atom(dots);
            }
            to.tuple(shown + usize::from(shown < tuple.len()));
        }
        View::Cons(_) => {
            let mut rest = term;
            let mut shown = 0;
            while let View::Cons(cons) = rest.view()
                && shown + 1 < depth
            {
                push_limited(to, cons.head(), depth - 1 - shown, dots);
                rest = cons.tail();
                shown += 1;
            }
            match rest.view() {
                View::Cons(_) => to.atom(dots).nil().cons(),
                _ => to.term(rest),
            };
            for _ in 0..shown {
                to.cons();
            }
        }
        View::Map(map) => {
            let shown = map.len().min(depth - 1);
            for (key, value) in map.iter().take(shown) {
                push_limited(to, key, depth - 1, dots);
                push_limited(to, value, depth - 1, dots);
            }
            if shown < map.len() {
                to.atom(dots);
                to.atom(dots);
            }
            to.map(shown + usize::from(shown < map.len()));
        }
        _ => {
            to.term(term);
        }
    }
}

/// Writes `key: value` by lines, or all in one.
struct Lines {
    text: String,
    single_line: bool,
}

impl Lines {
    fn head(&mut self, indent: usize, title: &str) {
        if !self.single_line {
            let _ = writeln!(self.text, "{:indent$}{title}:", "");
            return;
        }
        if !self.text.is_empty() && !self.text.ends_with(": ") {
            self.text.push_str("; ");
        }
        let _ = write!(self.text, "{title}: ");
    }

    fn entry(&mut self, indent: usize, key: &str, value: impl Display) {
        if !self.single_line {
            let _ = writeln!(self.text, "{:indent$}{key}: {value}", "");
            return;
        }
        if !self.text.ends_with(": ") {
            self.text.push_str(", ");
        }
        let _ = write!(self.text, "{key}: {value}");
    }
}

impl CrashReport {
    /// The report as text, in the form of OTP's.
    pub fn format(&self, format: Format) -> String {
        let mut lines = Lines {
            text: String::new(),
            single_line: format.single_line,
        };
        lines.head(2, "crasher");
        let class = match self.error_info.class {
            Class::Error => "exception error",
            Class::Exit => "exception exit",
        };
        if let Some(call) = self.initial_call {
            lines.entry(4, "initial call", initial_call(&format, call));
        }
        lines.entry(4, "pid", self.pid);
        lines.entry(4, "registered_name", name(&format, self.registered_name));
        if let Some(label) = self.label {
            lines.entry(4, "label", format.atom(label));
        }
        let reason = self.error_info.reason.to_term();
        lines.entry(4, class, format.term(reason.root()));
        lines.entry(
            4,
            "ancestors",
            format.list(self.ancestors.iter().map(ToString::to_string)),
        );
        lines.entry(4, "message_queue_len", self.message_queue_len);
        let messages = self
            .messages
            .iter()
            .map(|message| format.term(message.root()));
        lines.entry(4, "messages", format.list(messages));
        lines.entry(
            4,
            "links",
            format.list(self.links.iter().map(ToString::to_string)),
        );
        lines.entry(4, "dictionary", format.entries(&self.dictionary));
        lines.entry(4, "trap_exit", self.trap_exit);
        lines.entry(4, "status", status(self.status));
        lines.entry(4, "memory", self.memory);
        if let Some(bytes) = self.native_memory {
            lines.entry(4, "native_memory", bytes);
        }
        lines.entry(4, "reductions", self.reductions);
        if self.neighbours.is_empty() || format.chars_limit.is_some() {
            let pids = self
                .neighbours
                .iter()
                .map(|neighbour| neighbour.pid.to_string());
            let pids = format.list(pids);
            if lines.single_line {
                let _ = write!(lines.text, "; neighbours: {pids}");
            } else {
                lines.entry(2, "neighbours", pids);
            }
        } else {
            lines.head(2, "neighbours");
            for neighbour in &self.neighbours {
                neighbour.format(&format, &mut lines);
            }
        }
        format.cut(lines.text, 2)
    }
}

impl Neighbour {
    fn format(&self, format: &Format, lines: &mut Lines) {
        lines.head(4, "neighbour");
        lines.entry(6, "pid", self.pid);
        lines.entry(6, "registered_name", name(format, self.registered_name));
        if let Some(label) = self.label {
            lines.entry(6, "label", format.atom(label));
        }
        if let Some(call) = self.initial_call {
            lines.entry(6, "initial call", initial_call(format, call));
        }
        lines.entry(
            6,
            "ancestors",
            format.list(self.ancestors.iter().map(ToString::to_string)),
        );
        lines.entry(6, "message_queue_len", self.message_queue_len);
        lines.entry(
            6,
            "links",
            format.list(self.links.iter().map(ToString::to_string)),
        );
        lines.entry(6, "dictionary", format.entries(&self.dictionary));
        lines.entry(6, "trap_exit", self.trap_exit);
        lines.entry(6, "status", status(self.status));
        lines.entry(6, "memory", self.memory);
        lines.entry(6, "reductions", self.reductions);
    }
}

fn initial_call(format: &Format, call: InitialCall) -> String {
    match call.mfa() {
        Some(mfa) => {
            let (module, function) = (format.atom(mfa.module), format.atom(mfa.function));
            format!("{module}:{function}/{}", mfa.arity)
        }
        None => call.to_string(),
    }
}

/// `[]` for none, as in OTP.
fn name(format: &Format, name: Option<Atom>) -> String {
    name.map_or_else(|| "[]".to_owned(), |name| format.atom(name))
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Running => "running",
        Status::Runnable => "runnable",
        Status::Waiting => "waiting",
        Status::Exiting => "exiting",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(text: &str, depth: usize) -> String {
        let term = otp_heap::parse(text).unwrap();
        limit_term(term.root(), depth).unwrap().to_string()
    }

    #[test]
    fn terms_are_cut_at_the_depth() {
        assert_eq!(limited("{a,{b,{c,d}}}.", 100), "{a,{b,{c,d}}}");
        assert_eq!(limited("a.", 1), "a");
        assert_eq!(limited("a.", 0), "'...'");
        assert_eq!(limited("{a,b,c,d,e}.", 4), "{a,b,c,'...'}");
        assert_eq!(limited("[a,b,c,d,e].", 4), "[a,b,c,'...']");
        assert_eq!(limited("[a,b].", 9), "[a,b]");
        assert_eq!(limited("{{{{{a}}}}}.", 3), "{{{'...'}}}");
        assert_eq!(limited("#{a => 1}.", 2), "#{a => 1}");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut_off("ффф".to_owned(), 2), "фф...");
        assert_eq!(cut_off("ффф".to_owned(), 3), "ффф");
    }
}
