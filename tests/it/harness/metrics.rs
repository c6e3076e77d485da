//! Prometheus' text format, as far as the tests ask it.

use std::collections::BTreeMap;

/// One scrape.
#[derive(Debug)]
pub struct Metrics(Vec<Series>);

#[derive(Debug)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Self(lines.map(Series::parse).collect())
    }

    /// The sum of all series of this name that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.matching(name, labels).map(|series| series.value as u64).sum()
    }

    /// Whether there is a series of this name with these labels.
    pub fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.matching(name, labels).next().is_some()
    }

    /// The series of this name that are not 0, by the values of these labels.
    pub fn by(&self, name: &str, labels: [&str; 2]) -> BTreeMap<[String; 2], u64> {
        let mut sums = BTreeMap::new();
        for series in self.matching(name, &[]).filter(|series| series.value > 0.0) {
            let key = labels.map(|label| series.labels.get(label).cloned().unwrap_or_default());
            *sums.entry(key).or_default() += series.value as u64;
        }
        sums
    }

    fn matching<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Series> {
        let has =
            |series: &Series, label: &(&str, &str)| series.labels.get(label.0).map(String::as_str) == Some(label.1);
        self.0.iter().filter(move |series| series.name == name && labels.iter().all(|label| has(series, label)))
    }
}

impl Series {
    /// `name{label="value",…} number`. No label here holds a quotation mark.
    fn parse(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("a series {line:?}"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("labels in {line:?}"));
        let labels = labels.split("\",").filter(|label| !label.is_empty()).map(|label| {
            let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("a label in {line:?}"));
            (name.to_owned(), value.trim_end_matches('"').to_owned())
        });
        let value = value.parse().unwrap_or_else(|_| panic!("a value in {line:?}"));
        Self { name: name.to_owned(), labels: labels.collect(), value }
    }
}
