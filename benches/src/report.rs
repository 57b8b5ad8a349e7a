//! What a workload has measured.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// The figures of one run, in the order in which the workload gave them.
///
/// Names end in their unit: `ns_per_op`, `tick_p99_us`, `ms`. `Display` is a table for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    fields: Vec<(&'static str, Value)>,
}

impl Report {
    pub(crate) fn new(workload: &'static str) -> Self {
        Self { fields: Vec::new() }
            .with("runtime", "otp-vm")
            .with("workload", workload)
    }

    /// Adds a field: an option that was in force, a count, a flag.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Adds a measured figure, to three decimals: more would be noise.
    pub(crate) fn figure(self, name: &'static str, value: f64) -> Self {
        self.with(name, (value * 1000.0).round() / 1000.0)
    }

    /// A field by its name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// A field's number; None if there is no such field, or it is no number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name)?.as_f64()
    }

    /// The report as one JSON object on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and plain values always make JSON")
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .fields
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or(0);
        for (name, value) in &self.fields {
            match value {
                Value::String(text) => writeln!(formatter, "{name:width$}  {text}")?,
                other => writeln!(formatter, "{name:width$}  {other}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_line_of_json_in_the_order_of_its_fields() {
        let report = Report::new("ring")
            .with("n", 3)
            .figure("ns_per_hop", 61.23456);
        assert_eq!(
            report.to_json(),
            r#"{"runtime":"otp-vm","workload":"ring","n":3,"ns_per_hop":61.235}"#
        );
    }

    #[test]
    fn the_table_has_a_line_for_each_field() {
        let table = Report::new("ring").figure("ns_per_hop", 61.5).to_string();
        assert_eq!(
            table,
            "runtime     otp-vm\nworkload    ring\nns_per_hop  61.5\n"
        );
    }
}
