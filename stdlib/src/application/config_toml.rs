//! Configurations as TOML.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use otp_vm::{Atom, atoms, to_term};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use toml::{Table, Value};

use super::config::{Config, ConfigError, atom};
use crate::supervisor::Given;

/// Longest configuration file, in bytes. Chosen by feel: a thousand times what one has that people write.
pub const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// How deep files may include others. Chosen by feel: a circle is found soon, and no one nests so deep.
pub const MAX_INCLUDES: usize = 16;

/// The key at the top of a file that names others.
const INCLUDE: &str = "include";

/// A file, with those that it includes.
pub(super) fn read(path: &Path) -> Result<Config, ConfigError> {
    read_nested(path, 0)
}

fn read_nested(path: &Path, depth: usize) -> Result<Config, ConfigError> {
    let failed = |error: String| ConfigError::File {
        path: path.to_owned(),
        error,
    };
    if depth > MAX_INCLUDES {
        let text = format!("files include each other {MAX_INCLUDES} deep: is it a circle?");
        return Err(failed(text));
    }
    let mut text = String::new();
    // By a handle, whose size may be unknown: a pipe is a file, too.
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut file = file.take(MAX_CONFIG_BYTES + 1);
    let bytes = file.read_to_string(&mut text);
    let bytes = bytes.map_err(|error| failed(error.to_string()))?;
    if bytes as u64 > MAX_CONFIG_BYTES {
        let text = format!("it is longer than {MAX_CONFIG_BYTES} bytes: divide it, by `{INCLUDE}`");
        return Err(failed(text));
    }
    parse(&text, &path.display().to_string(), Some((path, depth)))
}

/// A text. `file` is where it is from, and how deep.
pub(super) fn parse(
    text: &str,
    origin: &str,
    file: Option<(&Path, usize)>,
) -> Result<Config, ConfigError> {
    let wrong = |error: String| ConfigError::Toml {
        at: origin.to_owned(),
        error,
    };
    let table = text.parse::<Table>().map_err(|error| {
        let before = error.span().map(|span| &text[..span.start.min(text.len())]);
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        ConfigError::Toml {
            at: format!("{origin}, line {line}"),
            error: error.message().to_owned(),
        }
    })?;
    let mut config = Config::new();
    match (table.get(INCLUDE), file) {
        (None, _) => {}
        (Some(Value::Array(paths)), Some((file, depth))) => {
            for path in paths {
                let path = path.as_str().ok_or_else(|| wrong(no_paths(path)))?;
                config.merge(read_nested(&included(file, path), depth + 1)?);
            }
        }
        (Some(other), Some(_)) => return Err(wrong(no_paths(other))),
        (Some(_), None) => {
            return Err(wrong(format!(
                "`{INCLUDE}` needs a file: use Config::from_file"
            )));
        }
    }
    let mut own = Config::new();
    for (app, parameters) in table.iter().filter(|(app, _)| *app != INCLUDE) {
        let Value::Table(parameters) = parameters else {
            let kind = parameters.type_str();
            return Err(wrong(format!(
                "{app} is of type {kind}: each application is a table, as in `[{app}]` with lines `key = value`"
            )));
        };
        own.merge(std::iter::once((atom(app)?, Vec::new())).collect());
        for (key, value) in parameters {
            own.put(atom(app)?, atom(key)?, term(value).map_err(wrong)?);
        }
    }
    own.check()?;
    config.merge(own);
    Ok(config)
}

fn no_paths(given: &Value) -> String {
    let kind = given.type_str();
    format!(
        "`{INCLUDE}` has a value of type {kind}: give a list of files, as in `{INCLUDE} = [\"other.toml\"]`"
    )
}

/// Beside the file that names it; else where the program runs.
fn included(by: &Path, path: &str) -> PathBuf {
    let beside = by.parent().unwrap_or(Path::new("")).join(path);
    match beside.exists() {
        true => beside,
        false => PathBuf::from(path),
    }
}

/// A value by itself.
pub(super) fn value(text: &str) -> Result<Given, String> {
    let no_value = |why: &str| format!("{text:?} is no value ({why}): give one as in TOML");
    match format!("value = {text}").parse::<Table>() {
        // More than one, if a line ends in the text.
        Ok(table) if table.len() == 1 => term(&table["value"]),
        Err(error) if !text.starts_with(|first: char| first.is_ascii_alphanumeric()) => {
            Err(no_value(error.message()))
        }
        _ => term(&Value::String(text.to_owned())),
    }
}

fn term(value: &Value) -> Result<Given, String> {
    let term = to_term(&AsTerm(value)).map_err(|error| error.to_string())?;
    Ok(term.into())
}

/// A value of TOML as it is a term.
struct AsTerm<'a>(&'a Value);

impl Serialize for AsTerm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) => match text.strip_prefix(':') {
                None => serializer.serialize_str(text),
                Some(text) if text.starts_with(':') => serializer.serialize_str(text),
                Some(name) => key::<S>(name)?.serialize(serializer),
            },
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Boolean(true) => atoms::TRUE.serialize(serializer),
            Value::Boolean(false) => atoms::FALSE.serialize(serializer),
            Value::Datetime(date) => serializer.serialize_str(&date.to_string()),
            Value::Array(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(&AsTerm(value))?;
                }
                list.end()
            }
            Value::Table(table) => {
                let mut map = serializer.serialize_map(Some(table.len()))?;
                for (name, value) in table {
                    map.serialize_entry(&key::<S>(name)?, &AsTerm(value))?;
                }
                map.end()
            }
        }
    }
}

fn key<S: Serializer>(name: &str) -> Result<Atom, S::Error> {
    Atom::new(name).map_err(serde::ser::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, error) in [
            ("[a]\nx = 1\ny =\n", "the configuration, line 3: "),
            ("[a]\n[a]\n", "the configuration, line 2: "),
            (
                "x = 1",
                "the configuration: x is of type integer: each application is a table",
            ),
            (
                "include = ['x']",
                "the configuration: `include` needs a file",
            ),
        ] {
            let given = Config::from_toml(text).unwrap_err().to_string();
            assert!(given.starts_with(error), "{given}");
            assert_eq!(given.lines().count(), 1, "{given}");
        }
    }

    #[test]
    fn values_are_terms() {
        let text = "[a]\ns = 'x'\ni = -7\nf = 1.5\nb = true\nd = 2026-01-02\nl = [1, 'x', [ ]]\nat = ':an atom'\nc = '::c'\nt = {k = {}}";
        let config = Config::from_toml(text).unwrap();
        let sorted = "[{a,[{at,'an atom'},{b,true},{c,<<\":c\">>},{d,<<\"2026-01-02\">>},{f,1.5},{i,-7},\
                      {l,[1,<<\"x\">>,[]]},{s,<<\"x\">>},{t,#{k => #{}}}]}]";
        assert_eq!(config.to_string(), sorted);
    }
}
