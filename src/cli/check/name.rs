//! `tidegate check --name NAME`: what holds for a name.

use std::process::ExitCode;

use crate::cli::{fail, print};
use crate::config::{COMPRESSIONS, Config, ON_CONFLICT, ON_INVALID, Rule, choice_text, size_text};
use crate::report::Format;
use crate::upload::Key;
use crate::validate::rules::{Applied, Rules};

/// Prints rule, format, schema and policies; the exit code tells whether the name would be taken.
pub(super) fn run(config: &Config, rules: &Rules, name: &str) -> ExitCode {
    let key = match name.parse::<Key>() {
        Ok(key) => key,
        Err(error) => return fail(1, &error.to_string()),
    };
    let applied = rules.find(&key);
    let rule = applied.rule.map(|number| (number, &config.rules[number - 1]));
    for (what, value) in lines(config, &key, &applied, rule) {
        print::line(&format!("{what:12} {value}"));
    }
    match rules.admit(&key) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error.to_string()),
    }
}

fn lines(config: &Config, key: &Key, applied: &Applied, rule: Option<(usize, &Rule)>) -> Vec<(&'static str, String)> {
    let standard = &applied.standard;
    let path = |path: Option<&std::path::PathBuf>| path.map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    let max_bytes = applied.max_bytes.unwrap_or(config.limits.max_file_bytes);
    let on_conflict = match applied.on_conflict {
        Some(policy) => choice_text(&ON_CONFLICT, &policy).to_owned(),
        None => {
            let [plain, framed] = [config.plain.on_conflict, config.framed.on_conflict];
            let [plain, framed] = [plain, framed].map(|policy| choice_text(&ON_CONFLICT, &policy));
            format!("{plain} (plain), {framed} (framed)")
        }
    };
    vec![
        ("name", format!("{:?}", key.as_str())),
        (
            "rule",
            match rule {
                Some((number, rule)) => format!("rules[{number}], {:?}", rule.pattern),
                None => "none matches; the extension decides".to_owned(),
            },
        ),
        (
            "format",
            match standard.format {
                Format::None => "none: not parsed".to_owned(),
                format => format.to_string(),
            },
        ),
        ("compression", choice_text(&COMPRESSIONS, &standard.compression).to_owned()),
        ("schema", path(rule.and_then(|(_, rule)| rule.schema.as_ref()))),
        ("dialect", path(rule.and_then(|(_, rule)| rule.dialect.as_ref()))),
        ("max_bytes", size_text(max_bytes)),
        ("on_conflict", on_conflict),
        ("on_invalid", choice_text(&ON_INVALID, &applied.on_invalid).to_owned()),
    ]
}
