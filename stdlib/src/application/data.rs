//! Specifications as data: `{application, Name, [{Key, Value}]}`, the content of an `.app` file.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use otp_vm::{Atom, OwnedTerm, Term, Timeout, atoms, from_term};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ApplicationSpec;
use super::callback::ByName;
use super::spec::STARTER;
use crate::supervisor::Given;

/// What is wrong with a specification. As a term it is OTP's error where OTP has one: `{bad_application, Term}`,
/// `{invalid_name, Term}`, `{invalid_options, Term}`, `{badstartspec, Term}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// It is not `{application, Name, Options}`.
    #[error("{0} is no application: give its name, or {{application, Name, [{{Key, Value}}]}}")]
    BadApplication(Given),
    /// The name is no atom.
    #[error("{0} is no name of an application: give an atom")]
    InvalidName(Given),
    /// The options are no list.
    #[error("{0} are no options of an application: give a list of {{Key, Value}}")]
    InvalidOptions(Given),
    /// `mod` is not `{Module, Args}`.
    #[serde(rename = "badstartspec")]
    #[error("{0} starts no application: give {{Module, Args}}, or [] for a library")]
    BadStartSpec(Given),
    /// A key's value is of another shape. OTP finds that out later.
    #[error("the key {0} can't be {1}: {2}")]
    Key(Atom, Given, String),
    /// A name of a specification that was built can't be an atom.
    #[error("the name {0:?} can't be an atom: {1}")]
    Name(String, String),
    /// The value of a key of the environment can't be a term.
    #[error("the value of {0} can't be a term: {1}")]
    Value(Atom, String),
    /// A text is no term.
    #[error("the specification is no term: {0}")]
    Text(String),
}

impl ApplicationSpec {
    /// A specification from data: OTP's `{application, Name, [{Key, Value}]}`. What is not said is OTP's default; keys
    /// that OTP does not know are passed over. The module is one that the VM has loaded when the application starts:
    /// see [`call`](ApplicationSpec::call).
    ///
    /// A specification is parsed from text as well, such as an `.app` file's:
    ///
    /// ```
    /// use otp_stdlib::application::ApplicationSpec;
    ///
    /// let spec: ApplicationSpec = "
    ///     {application, shop,
    ///      [{description, \"Sells what there is\"},
    ///       {applications, [kernel, stdlib]},
    ///       {env, [{tills, 4}]},
    ///       {mod, {shop, []}}]}
    /// ".parse()?;
    /// assert_eq!(spec.about(), "Sells what there is");
    ///
    /// let error = "{application, shop, [{mod, shop}]}".parse::<ApplicationSpec>().unwrap_err();
    /// assert_eq!(error.to_string(), "shop starts no application: give {Module, Args}, or [] for a library");
    /// # Ok::<(), otp_stdlib::application::SpecError>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong, with what was given.
    pub fn from_term(term: Term<'_>) -> Result<Self, SpecError> {
        let bad = || SpecError::BadApplication(Given::new(term));
        let parts = term.as_tuple().filter(|parts| parts.len() == 3);
        let parts = parts.ok_or_else(bad)?;
        let at = |index| parts.get(index).ok_or_else(bad);
        if at(0)?.as_atom().map(Atom::as_str) != Some("application") {
            return Err(bad());
        }
        let (name, options) = (at(1)?, at(2)?);
        if options.list_len().is_none() {
            return Err(SpecError::InvalidOptions(Given::new(options)));
        }
        let Some(name) = name.as_atom() else {
            return Err(SpecError::InvalidName(Given::new(name)));
        };
        Options(options).spec(name)
    }
}

impl FromStr for ApplicationSpec {
    type Err = SpecError;

    /// As [`from_term`](Self::from_term), of a term as text; it may end in a full stop.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        let text = text.trim();
        let term = text.strip_suffix('.').unwrap_or(text);
        let term: OwnedTerm = term
            .parse()
            .map_err(|error| SpecError::Text(format!("{error}")))?;
        Self::from_term(term.root())
    }
}

/// A list of `{Key, Value}`.
struct Options<'t>(Term<'t>);

impl<'t> Options<'t> {
    fn get(&self, key: &str) -> Option<Term<'t>> {
        self.0.list_iter().find_map(|option| {
            let pair = option.as_tuple().filter(|pair| pair.len() == 2)?;
            let is_key = pair.get(0)?.as_atom()?.as_str() == key;
            is_key.then(|| pair.get(1))?
        })
    }

    /// The value of a key, or the default where it is not there.
    fn read<T: DeserializeOwned + Default>(&self, key: &str) -> Result<T, SpecError> {
        self.get(key)
            .map_or_else(|| Ok(T::default()), |term| decode(key, term))
    }

    fn text(&self, key: &str) -> Result<String, SpecError> {
        let Some(term) = self.get(key) else {
            return Ok(String::new());
        };
        // OTP's strings are lists of characters.
        match from_term::<Vec<u32>>(term) {
            Ok(characters) => Ok(characters.into_iter().filter_map(char::from_u32).collect()),
            Err(_) => decode(key, term),
        }
    }

    /// A number, or nothing for `infinity`.
    fn limit(&self, key: &str) -> Result<Option<u64>, SpecError> {
        match self.get(key) {
            None => Ok(None),
            Some(term) if term.as_atom() == Some(atoms::INFINITY) => Ok(None),
            Some(term) => decode(key, term).map(Some),
        }
    }

    fn spec(&self, name: Atom) -> Result<ApplicationSpec, SpecError> {
        let mut spec = ApplicationSpec::new(name.as_str());
        spec.description = self.text("description")?;
        spec.id = self.text("id")?;
        spec.vsn = self.text("vsn")?;
        // Of a module OTP also takes `{Module, Version}`.
        let modules: Vec<Given> = self.read("modules")?;
        spec.modules = modules.iter().filter_map(module_of).collect();
        spec.max_processes = self.limit("maxP")?;
        let max_time = self.limit("maxT")?.map(Duration::from_millis);
        spec.max_time = Timeout::from(max_time);
        spec.registered = self.read("registered")?;
        spec.included = self.read("included_applications")?;
        spec.optional = self.read("optional_applications")?;
        spec.applications = self.read("applications")?;
        spec.env = self.read("env")?;
        spec.phases = match self.get("start_phases") {
            None => None,
            Some(term) if term.as_atom() == Some(atoms::UNDEFINED) => None,
            Some(term) => Some(decode("start_phases", term)?),
        };
        if let Some(term) = self.get("mod").filter(|term| !term.is_nil()) {
            let bad = || SpecError::BadStartSpec(Given::new(term));
            let (mut module, mut args) = from_term::<(Atom, Given)>(term).map_err(|_| bad())?;
            if module.as_str() == STARTER {
                let mut start = args.term().list_iter();
                let parts = (start.next(), start.next(), start.next());
                let (Some(start), Some(of), None) = parts else {
                    return Err(bad());
                };
                module = start.as_atom().ok_or_else(bad)?;
                args = Given::new(of);
                spec.starts_included = true;
            }
            spec.callbacks = Some(Arc::new(ByName { module, args }));
        }
        Ok(spec)
    }
}

fn module_of(term: &Given) -> Option<Atom> {
    let term = term.term();
    term.as_atom()
        .or_else(|| term.as_tuple()?.get(0)?.as_atom())
}

fn decode<T: DeserializeOwned>(key: &str, term: Term<'_>) -> Result<T, SpecError> {
    from_term(term).map_err(|error| {
        let key = super::callback::atom(key);
        SpecError::Key(key, Given::new(term), error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_as_otp_says_it() {
        for (text, error) in [
            ("shop", "{bad_application,shop}"),
            ("{app, shop, []}", "{bad_application,{app,shop,[]}}"),
            ("{application, 7, []}", "{invalid_name,7}"),
            ("{application, 7, none}", "{invalid_options,none}"),
            ("{application, shop, [{mod, 7}]}", "{badstartspec,7}"),
            (
                "{application, shop, [{mod, {application_starter, 7}}]}",
                "{badstartspec,{application_starter,7}}",
            ),
        ] {
            let given = text.parse::<ApplicationSpec>().unwrap_err();
            assert_eq!(otp_vm::to_term(&given).unwrap().to_string(), error);
        }
    }

    #[test]
    fn a_key_of_another_shape_is_named() {
        let text = "{application, shop, [{applications, stdlib}]}";
        let error = text.parse::<ApplicationSpec>().unwrap_err().to_string();
        assert!(
            error.starts_with("the key applications can't be stdlib: "),
            "{error}"
        );
    }

    #[test]
    fn an_apps_file_says_all() {
        let text = "{application, shop, [{vsn, \"1.0\"}, {modules, [till, {shop, 7}]}, {maxP, 10}, {maxT, infinity},
            {included_applications, [till]}, {start_phases, [{open, []}]},
            {mod, {application_starter, [shop, now]}}]}.";
        let spec = text.parse::<ApplicationSpec>().unwrap();
        let keys = spec.keys();
        let key = |key: &str| {
            let found = keys.iter().find(|(name, _)| name.as_str() == key);
            found.expect("a key").1.to_string()
        };
        assert_eq!(key("vsn"), "<<\"1.0\">>");
        assert_eq!(key("modules"), "[till,shop]");
        assert_eq!((key("maxP"), key("maxT")), ("10".into(), "infinity".into()));
        assert_eq!(key("included_applications"), "[till]");
        assert_eq!(key("start_phases"), "[{open,[]}]");
        assert_eq!(key("mod"), "{application_starter,[shop,now]}");
    }
}
