//! What cells say: without their quotes, and without what escapes.

use std::borrow::Cow;

use super::lexer::Syntax;

/// Where a cell stands in a text, with its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The cells of a record. What one says is made out when somebody asks, and costs an allocation only where a quote or an escape
/// is to be taken out of its middle.
#[derive(Debug, Clone, Copy)]
pub(in crate::validate) struct Cells<'a> {
    pub(super) text: &'a str,
    pub(super) spans: &'a [Span],
    pub(super) syntax: &'a Syntax,
}

impl<'a> Cells<'a> {
    pub(in crate::validate) const fn len(&self) -> usize {
        self.spans.len()
    }

    /// What a cell says; `None` where there is none.
    #[inline]
    pub(in crate::validate) fn say(&self, index: usize) -> Option<Cow<'a, str>> {
        let Span { start, end } = *self.spans.get(index)?;
        Some(value(&self.text[start..end], self.syntax))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Cow<'a, str>> {
        (0..self.len()).filter_map(|index| self.say(index))
    }
}

/// The value of a cell. Where quotes and escapes are not matched, which only a header with a flaw may have, what is left of them
/// is taken literally.
#[inline]
fn value<'a>(raw: &'a str, syntax: &Syntax) -> Cow<'a, str> {
    let begins_with_quote = syntax.quote.is_some() && raw.as_bytes().first().copied() == syntax.quote;
    if begins_with_quote || syntax.escape.is_some() { unquoted(raw, syntax) } else { Cow::Borrowed(raw) }
}

fn unquoted<'a>(raw: &'a str, syntax: &Syntax) -> Cow<'a, str> {
    let between = |quote: u8| raw.strip_prefix(char::from(quote))?.strip_suffix(char::from(quote));
    let unquoted = syntax.quote.and_then(between);
    let (quoted, inner) = (unquoted.is_some(), unquoted.unwrap_or(raw));
    if let Some(escape) = syntax.escape
        && inner.as_bytes().contains(&escape)
    {
        // A null sequence stands for itself.
        let stands = |text: &str| text.len() == 2 && text.as_bytes().get(1).copied() == syntax.escapable;
        return if stands(raw) { Cow::Borrowed(raw) } else { Cow::Owned(unescaped(inner, escape, syntax)) };
    }
    match syntax.quote {
        Some(quote) if quoted && syntax.double_quote && inner.as_bytes().contains(&quote) => {
            let (one, two) = (char::from(quote).to_string(), [char::from(quote); 2].iter().collect::<String>());
            Cow::Owned(inner.replace(&two, &one))
        }
        _ => Cow::Borrowed(inner),
    }
}

fn unescaped(inner: &str, escape: u8, syntax: &Syntax) -> String {
    let mut value = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        let is_first_of_two =
            char == char::from(escape) || (syntax.double_quote && syntax.quote.map(char::from) == Some(char));
        match chars.as_str().chars().next() {
            Some(next) if is_first_of_two => {
                value.push(next);
                chars.next();
            }
            _ => value.push(char),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::super::dialect::Dialect;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cell_says_what_the_csv_crate_reads() {
        for raw in ["a", " a ", "\"a\"", "\"\"", "\"\"\"\"", "\"a\"\"b\"\"\"", "\"a,\r\n\u{e4}\"", "\"a\r\"", ""] {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(raw.as_bytes());
            let record = reader.records().next().map(Result::unwrap).unwrap_or_default();
            assert_eq!(value(raw, &Dialect::csv().syntax()), record.get(0).unwrap_or(""), "{raw:?}");
        }
    }

    #[test]
    fn a_broken_cell_is_taken_literally() {
        for raw in ["\"", "\"a\"\u{20ac}", "\"\u{20ac}", "a\"", "\u{20ac}\""] {
            assert_eq!(value(raw, &Dialect::csv().syntax()), raw, "{raw:?}");
        }
    }

    #[test]
    fn what_escapes_is_not_said() {
        let dialect = json!({"escapeChar": "\\", "doubleQuote": false, "nullSequence": "\\N"});
        let syntax = Dialect::parse(&dialect).unwrap().syntax();
        for (raw, said) in [("a\\,b", "a,b"), ("\"a\\\"b\"", "a\"b"), ("\\\\", "\\"), ("\\N", "\\N"), ("\"\\\\N\"", "\\N")] {
            assert_eq!(value(raw, &syntax), said, "{raw:?}");
        }
    }
}
