//! Configurations: what several applications' environments are set to.

use std::fmt;
use std::path::{Path, PathBuf};

use otp_vm::{Atom, OwnedTerm, Term, atoms, from_term, to_term};
use serde::{Deserialize, Serialize};

use super::callback::copyable;
use crate::supervisor::Given;

/// The environment of an application, or a part of it: keys and their values, each key once.
pub type Env = Vec<(Atom, Given)>;

/// What applications are configured with: OTP's `[{Application, [{Key, Value}]}]`. Each is named once, as is each of
/// its keys.
///
/// ```
/// use otp_stdlib::application::Config;
///
/// let mut config = Config::from_toml("
///     [shop]
///     open = true
///     tills = [1, 2]
///     mode = ':fast'          # an atom
///
///     [shop.owner]            # a value that is a map
///     name = 'Ann'
/// ")?;
/// config.set_text("shop.open=false")?;
/// assert_eq!(config.get("shop", "open").unwrap().to_string(), "false");
/// assert_eq!(config.get("shop", "mode").unwrap().to_string(), "fast");
/// assert_eq!(config.get("shop", "owner").unwrap().to_string(), "#{name => <<\"Ann\">>}");
/// # Ok::<(), otp_stdlib::application::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Config(Vec<(Atom, Env)>);

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is no list.
    #[error("{0} is no configuration: give a list of {{Application, [{{Key, Value}}]}}")]
    NotAList(Given),
    /// An element is no pair.
    #[error("{0} configures no application: give {{Application, [{{Key, Value}}]}}")]
    Invalid(Given),
    /// The name of an application is no atom.
    #[error("{0} is no application's name: give an atom")]
    Name(Given),
    /// What an application is configured with is no list.
    #[error("the parameters of the application {0} are no list: give [{{Key, Value}}]")]
    Parameters(Given),
    /// A parameter is no pair.
    #[error("application {0}: {1} is no parameter: give {{Key, Value}}")]
    Parameter(Atom, Given),
    /// A parameter's name is no atom.
    #[error("application {0}: {1} is no parameter's name: give an atom")]
    ParameterName(Atom, Given),
    /// The same application twice.
    #[error("the application {0} is configured twice: put its parameters together")]
    Duplicate(Atom),
    /// The same parameter twice.
    #[error("application {0}: the parameter {1} is there twice: leave one")]
    DuplicateParameter(Atom, Atom),
    /// A parameter of the application `kernel` is of another shape than the controller reads.
    #[error("application kernel: the parameter {0} can't be {1}: give {2}")]
    Erroneous(Atom, Given, &'static str),
    /// A value can't be a term.
    #[error("{app}.{key} can't be a term: {error}")]
    Value {
        /// The application.
        app: String,
        /// The key.
        key: String,
        /// Why not.
        error: String,
    },
    /// A name can't be an atom.
    #[error("the name {name:?} can't be an atom: {error}")]
    Atom {
        /// The name.
        name: String,
        /// Why not.
        error: String,
    },
    /// A file can't be read.
    #[error("the configuration {path} can't be read: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: String,
    },
    /// A text is no TOML, or not that of a configuration.
    #[error("{at}: {error}")]
    Toml {
        /// Where: file and line.
        at: String,
        /// What is wrong.
        error: String,
    },
    /// A setting by text is none.
    #[error("{0:?} sets nothing: {1}")]
    Text(String, String),
}

impl Config {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key of an application, in place of what it was.
    ///
    /// # Errors
    /// [`ConfigError::Value`] when the value can't be a term, [`ConfigError::Atom`] when a name can't be an atom.
    pub fn set<T: Serialize + ?Sized>(
        &mut self,
        app: &str,
        key: &str,
        value: &T,
    ) -> Result<(), ConfigError> {
        let term = copyable(value).map_err(|error| ConfigError::Value {
            app: app.to_owned(),
            key: key.to_owned(),
            error,
        })?;
        self.put(atom(app)?, atom(key)?, term);
        Ok(())
    }

    /// The value of a key.
    pub fn get(&self, app: &str, key: &str) -> Option<&Given> {
        let (_, env) = self.0.iter().find(|(name, _)| name.as_str() == app)?;
        let (_, value) = env.iter().find(|(name, _)| name.as_str() == key)?;
        Some(value)
    }

    /// Each application with what it is configured with.
    pub fn iter(&self) -> impl Iterator<Item = (Atom, &Env)> {
        self.0.iter().map(|(app, env)| (*app, env))
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, env)| env.is_empty())
    }

    /// Sets what `other` sets: of two values of one key, its is left.
    pub fn merge(&mut self, other: Self) {
        for (app, env) in other.0 {
            self.env_mut(app);
            for (key, value) in env {
                self.put(app, key, value);
            }
        }
    }

    /// A configuration from data: OTP's `[{Application, [{Key, Value}]}]`.
    ///
    /// # Errors
    /// What is wrong, with what was given.
    pub fn from_term(term: Term<'_>) -> Result<Self, ConfigError> {
        if term.list_len().is_none() {
            return Err(ConfigError::NotAList(Given::new(term)));
        }
        let mut config = Self::new();
        for element in term.list_iter() {
            let pair = element.as_tuple().filter(|pair| pair.len() == 2);
            let parts = pair.and_then(|pair| Some((pair.get(0)?, pair.get(1)?)));
            let Some((name, list)) = parts else {
                return Err(ConfigError::Invalid(Given::new(element)));
            };
            if list.list_len().is_none() {
                return Err(ConfigError::Parameters(Given::new(name)));
            }
            let Some(app) = name.as_atom() else {
                return Err(ConfigError::Name(Given::new(name)));
            };
            if config.0.iter().any(|(other, _)| *other == app) {
                return Err(ConfigError::Duplicate(app));
            }
            config.0.push((app, parameters(app, list)?));
        }
        config.check()?;
        Ok(config)
    }

    /// Sets one key by a text, `app.key=value`, as a command line has it. The value is one of TOML: `true`, `7`,
    /// `[1, 2]`, `"text"`, `":atom"`; what is no TOML and begins with a letter, a digit, `/`, `./` or `../` is a text as
    /// it stands, so that `shop.listen=127.0.0.1:80` and `shop.log=/var/log/shop` need no quotes within quotes.
    ///
    /// # Errors
    /// [`ConfigError::Text`], with what is wanted.
    pub fn set_text(&mut self, text: &str) -> Result<(), ConfigError> {
        let wrong = |what: &str| ConfigError::Text(text.to_owned(), what.to_owned());
        let form = "give APP.KEY=VALUE, such as shop.tills=4";
        let (place, value) = text.split_once('=').ok_or_else(|| wrong(form))?;
        let (app, key) = place.split_once('.').ok_or_else(|| wrong(form))?;
        if app.is_empty() || key.is_empty() || key.contains('.') {
            return Err(wrong(form));
        }
        let value = super::config_toml::value(value.trim()).map_err(|error| wrong(&error))?;
        self.put(atom(app)?, atom(key)?, value);
        self.check()
    }

    /// A configuration from the text of a TOML file: each table is an application, each of its keys a key. Texts that
    /// begin with a colon are atoms (`":fast"`; `"::"` stands for one colon), other texts are binaries, tables are maps
    /// with atoms for keys, dates are texts.
    ///
    /// # Errors
    /// [`ConfigError::Toml`] with the line.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        super::config_toml::parse(text, "the configuration", None)
    }

    /// A configuration from a TOML file. `include = ["other.toml"]` at its top has other files read first, which it
    /// then overrides; their paths are relative to the file's own place, or where nothing is there, to the working
    /// directory.
    ///
    /// # Errors
    /// [`ConfigError::File`], [`ConfigError::Toml`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        super::config_toml::read(path.as_ref())
    }

    /// A configuration from several files, of which later ones override earlier ones.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file), of the first that fails.
    pub fn from_files<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::new();
        for path in paths {
            config.merge(Self::from_file(path)?);
        }
        Ok(config)
    }

    /// Checks what the controller itself reads, which are parameters of the application `kernel`.
    ///
    /// # Errors
    /// [`ConfigError::Erroneous`].
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let kernel = self.0.iter().find(|(app, _)| app.as_str() == KERNEL);
        for (key, value) in kernel.map_or(&[][..], |(_, env)| env) {
            check_kernel(*key, value)?;
        }
        Ok(())
    }

    pub(super) fn env(&self, app: Atom) -> &[(Atom, Given)] {
        let found = self.0.iter().find(|(name, _)| *name == app);
        found.map_or(&[], |(_, env)| env)
    }

    pub(super) fn put(&mut self, app: Atom, key: Atom, value: Given) {
        put(self.env_mut(app), key, value);
    }

    pub(super) fn remove(&mut self, app: Atom, key: Atom) {
        self.env_mut(app).retain(|(name, _)| *name != key);
    }

    fn env_mut(&mut self, app: Atom) -> &mut Env {
        let at = self.0.iter().position(|(name, _)| *name == app);
        let at = at.unwrap_or_else(|| {
            self.0.push((app, Vec::new()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }
}

impl FromIterator<(Atom, Env)> for Config {
    fn from_iter<I: IntoIterator<Item = (Atom, Env)>>(apps: I) -> Self {
        let mut config = Self::new();
        for (app, env) in apps {
            config.merge(Self(vec![(app, env)]));
        }
        config
    }
}

/// Sets a key.
pub(super) fn put(env: &mut Env, key: Atom, value: Given) {
    match env.iter_mut().find(|(name, _)| *name == key) {
        Some((_, old)) => *old = value,
        None => env.push((key, value)),
    }
}

/// The application whose parameters are the controller's own.
pub(super) const KERNEL: &str = "kernel";

fn parameters(app: Atom, list: Term<'_>) -> Result<Env, ConfigError> {
    let mut env = Env::new();
    for element in list.list_iter() {
        let pair = element.as_tuple().filter(|pair| pair.len() == 2);
        let parts = pair.and_then(|pair| Some((pair.get(0)?, pair.get(1)?)));
        let Some((key, value)) = parts else {
            return Err(ConfigError::Parameter(app, Given::new(element)));
        };
        let Some(key) = key.as_atom() else {
            return Err(ConfigError::ParameterName(app, Given::new(key)));
        };
        if env.iter().any(|(other, _)| *other == key) {
            return Err(ConfigError::DuplicateParameter(app, key));
        }
        env.push((key, Given::new(value)));
    }
    Ok(env)
}

/// The shapes of the parameters that the controller reads.
fn check_kernel(key: Atom, value: &Given) -> Result<(), ConfigError> {
    let (right, wanted) = match key.as_str() {
        "permissions" => (
            permissions(value.term()).is_some(),
            "[{Application, true | false}], or a table of them",
        ),
        "shutdown_timeout" => (
            shutdown_timeout(value.term()).is_some(),
            "milliseconds, or infinity",
        ),
        "shutdown_func" => (
            from_term::<(Atom, Atom)>(value.term()).is_ok(),
            "{Module, Function}",
        ),
        "distributed" => (is_distributed(value.term()), "[{Application, [Node]}]"),
        _ => return Ok(()),
    };
    match right {
        true => Ok(()),
        false => Err(ConfigError::Erroneous(key, value.clone(), wanted)),
    }
}

/// Who may start: `[{App, Bool}]`, or the same as a map.
pub(super) fn permissions(term: Term<'_>) -> Option<Vec<(Atom, bool)>> {
    match term.as_map() {
        Some(map) => map
            .iter()
            .map(|(app, may)| Some((app.as_atom()?, from_term(may).ok()?)))
            .collect(),
        None => from_term(term).ok(),
    }
}

/// How long an application may take to stop, when the controller does.
pub(super) fn shutdown_timeout(term: Term<'_>) -> Option<otp_vm::Timeout> {
    if term.as_atom() == Some(atoms::INFINITY) {
        return Some(otp_vm::Timeout::Infinity);
    }
    let milliseconds = from_term::<u64>(term).ok()?;
    Some(std::time::Duration::from_millis(milliseconds).into())
}

/// OTP's own check, though nothing is distributed yet.
fn is_distributed(term: Term<'_>) -> bool {
    let is_time =
        |time: Term<'_>| time.as_i64().is_some() || time.as_atom() == Some(atoms::INFINITY);
    let is_app = |app: Term<'_>| {
        let Some(parts) = app.as_tuple() else {
            return false;
        };
        let at = |index| parts.get(index);
        let nodes = at(parts.len().saturating_sub(1));
        at(0).is_some_and(|name| name.as_atom().is_some())
            && nodes.is_some_and(|nodes| nodes.list_len().is_some())
            && match parts.len() {
                2 => true,
                3 => at(1).is_some_and(is_time),
                _ => false,
            }
    };
    term.list_len().is_some() && term.list_iter().all(is_app)
}

pub(super) fn atom(name: &str) -> Result<Atom, ConfigError> {
    Atom::new(name).map_err(|error| ConfigError::Atom {
        name: name.to_owned(),
        error: error.to_string(),
    })
}

impl fmt::Display for Config {
    /// As Erlang writes it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let term = to_term(self).unwrap_or_else(|_| OwnedTerm::from(atoms::BADARG));
        fmt::Display::fmt(&term, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_ones_override_earlier_ones() {
        let mut config = Config::from_toml("[a]\nx = 1\ny = 2\n[b]\n").unwrap();
        config.merge(Config::from_toml("[a]\ny = 3\nz = 4\n[c]\n").unwrap());
        assert_eq!(
            config.to_string(),
            "[{a,[{x,1},{y,3},{z,4}]},{b,[]},{c,[]}]"
        );
    }

    #[test]
    fn a_setting_by_text_says_what_is_wanted() {
        let mut config = Config::new();
        for text in [
            "",
            "kv",
            "kv.acceptors",
            "acceptors=4",
            "kv.=4",
            ".x=4",
            "kv.a.b=4",
        ] {
            let error = config.set_text(text).unwrap_err().to_string();
            assert!(error.ends_with("such as shop.tills=4"), "{error}");
        }
        for text in [
            "kv.x=\"missing",
            "kv.x=[1, 2",
            "kv.x={a=",
            "kv.x='",
            "kv.x=",
            "kv.x=~/log",
        ] {
            let error = config.set_text(text).unwrap_err().to_string();
            assert!(error.contains("is no value"), "{error}");
            assert!(error.ends_with("a text as 'APP.KEY=\"text\"'"), "{error}");
        }
        assert!(config.is_empty());
        for (text, value) in [
            ("kv.x=7", "7"),
            ("kv.x=127.0.0.1:80", "<<\"127.0.0.1:80\">>"),
            ("kv.x=fast", "<<\"fast\">>"),
            ("kv.x=/var/log", "<<\"/var/log\">>"),
            ("kv.x=./log", "<<\"./log\">>"),
            ("kv.x=../log", "<<\"../log\">>"),
            ("kv.x=':fast'", "fast"),
            ("kv.x=\"a=b\"", "<<\"a=b\">>"),
            ("kv.x = [1, true]", "[1,true]"),
            ("kv.x={a = 1}", "#{a => 1}"),
            ("kv.x=1\ny=2", "<<\"1\\ny=2\">>"),
        ] {
            let place = text.replace(" = [", "=[");
            config.set_text(&place).unwrap();
            assert_eq!(config.get("kv", "x").unwrap().to_string(), value, "{text}");
        }
    }

    #[test]
    fn the_controllers_own_parameters_are_checked() {
        for wrong in [
            "kernel.permissions=7",
            "kernel.shutdown_timeout=soon",
            "kernel.shutdown_func=stop",
            "kernel.distributed=[1]",
        ] {
            let error = Config::new().set_text(wrong).unwrap_err();
            assert!(matches!(error, ConfigError::Erroneous(..)), "{error}");
        }
        for right in [
            "kernel.permissions={shop = false}",
            "kernel.shutdown_timeout=1000",
            "kernel.shutdown_timeout=':infinity'",
            "kernel.other=7",
        ] {
            Config::new().set_text(right).unwrap();
        }
    }
}
