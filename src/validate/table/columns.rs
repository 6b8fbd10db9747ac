//! The checks of one table being read.

use std::borrow::Cow;
use std::sync::Arc;

use super::TableSchema;
use super::field::{Field, Presence};
use super::keys::{Budget, Full, Hashes, Key, KeyRule, Purpose};
use super::kind::Kind;
use crate::report::Code;

/// The checks of one table, row by row.
///
/// Without keys its size is that of the header. With keys it holds what it must remember, up to its cap.
#[derive(Debug)]
pub struct Columns {
    schema: Arc<TableSchema>,
    /// The field of each column, by its place in the schema.
    fields: Vec<Option<usize>>,
    keys: Vec<KeyState>,
    budget: Budget,
    max_key_bytes: u64,
    rows: u64,
    scratch: Vec<u8>,
}

/// Something that is wrong with a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The rule that is broken.
    pub code: Code,
    /// The column, from 0, where it is about one.
    pub field: Option<usize>,
    /// The constraint of the schema that refuses it.
    pub constraint: Option<&'static str>,
    /// The data row, from 1, where it is another than the one being read: told by [`Columns::finish`].
    pub row: Option<u64>,
    /// What is expected, in a sentence. It never shows the text of a cell or a label.
    pub message: String,
}

impl Fault {
    pub(super) fn label(code: Code, field: Option<usize>, message: String) -> Self {
        Self { code, field, constraint: None, row: None, message }
    }
}

/// A key of the schema in this table.
#[derive(Debug)]
struct KeyState {
    /// Its place among the schema's keys.
    rule: usize,
    columns: Vec<usize>,
    /// Where a key refers to fields of this table: their columns.
    targets: Vec<usize>,
    seen: Hashes,
    /// Keys that were not there yet when they were referred to, with their rows.
    awaited: Vec<(u128, u64)>,
}

impl Columns {
    pub(super) fn new(
        schema: &Arc<TableSchema>,
        fields: Vec<Option<usize>>,
        max_key_bytes: u64,
        tell: &mut dyn FnMut(Fault),
    ) -> Self {
        let column_of = |field: &usize| fields.iter().position(|laid| *laid == Some(*field));
        let mut keys = Vec::new();
        for (rule, key) in schema.keys.iter().enumerate() {
            let targets = match &key.purpose {
                Purpose::RefersHere { targets } => targets.iter().map(column_of).collect(),
                _ => Some(Vec::new()),
            };
            let columns: Option<Vec<_>> = key.fields.iter().map(column_of).collect();
            match (columns, targets) {
                (Some(columns), Some(targets)) => {
                    let (seen, awaited) = (Hashes::default(), Vec::new());
                    keys.push(KeyState { rule, columns, targets, seen, awaited });
                }
                // A table may lack columns by its `fieldsMatch`, but a row without its primary key is never right.
                (None, _) if matches!(key.purpose, Purpose::Primary) && schema.fields_match.may_lack() => {
                    let message = "the header must have all fields of the primary key".to_owned();
                    tell(Fault::label(Code::MissingLabel, None, message));
                }
                // Told as a missing label, or allowed to be absent: then there is no value that could break it.
                _ => {}
            }
        }
        let budget = Budget { left_bytes: max_key_bytes };
        Self { schema: Arc::clone(schema), fields, keys, budget, max_key_bytes, rows: 0, scratch: Vec::new() }
    }

    /// Checks a row, whose cells are the text that they stand for, without quotes and escapes. A cell that is right costs no
    /// allocation, but for JSON that must be looked into.
    ///
    /// That there are as many cells as labels is not checked here; what is there is.
    pub fn row<S: AsRef<str>>(&mut self, cells: &[S], tell: &mut dyn FnMut(Fault)) {
        self.row_by(|column| cells.get(column).map(|cell| Cow::Borrowed(cell.as_ref())), tell);
    }

    /// As [`Self::row`], for cells that are made out only when they are asked for, by their column: `None` behind the last.
    pub fn row_by<'c>(&mut self, cell: impl Fn(usize) -> Option<Cow<'c, str>>, tell: &mut dyn FnMut(Fault)) {
        self.rows += 1;
        for (column, field) in self.fields.iter().enumerate() {
            let Some(field) = field else { continue };
            let Some(cell) = cell(column) else { break };
            let field = &self.schema.fields[*field];
            if field.missing.has(&cell) {
                if field.presence == Presence::Required {
                    tell(broken(column, "required", "the cell must hold a value".to_owned()));
                }
            } else if !field.glance.proves(&cell, &field.kind) {
                check(field, column, &cell, &mut self.scratch, tell);
            }
        }
        if !self.keys.is_empty() && self.check_keys(&cell, tell) == Err(Full) {
            // Without its sets a key can't be judged any more, and to go on as if it could would be to lie.
            self.keys = Vec::new();
            let message = format!("more different keys than {} bytes of memory hold", self.max_key_bytes);
            tell(Fault { code: Code::KeyMemory, field: None, constraint: None, row: None, message });
        }
    }

    /// The memory that the keys take once `text_bytes` more of text have been read, at most, in
    /// bytes.
    pub fn memory_bytes(&self, text_bytes: usize) -> usize {
        // The shortest row is a character and a line end.
        let more = text_bytes / 2;
        let fields = size_of_val(self.fields.as_slice());
        fields + self.keys.iter().map(|key| key.memory_bytes(more)).sum::<usize>()
    }

    /// Tells what can be told only at the end: the keys that refer to rows of this table, where no such row came.
    pub fn finish(&mut self, tell: &mut dyn FnMut(Fault)) {
        for state in &mut self.keys {
            let rule = &self.schema.keys[state.rule];
            for (hash, row) in std::mem::take(&mut state.awaited) {
                if !state.seen.has(hash) {
                    tell(rule.fault(state.columns.first().copied(), Some(row), refers_to_nothing(rule)));
                }
            }
        }
    }

    /// Whether it holds what can't be written down: hashes of the rows so far, under secrets of this process.
    pub fn remembers(&self) -> bool {
        self.schema.remembers()
    }

    fn check_keys<'c>(
        &mut self,
        cell: &impl Fn(usize) -> Option<Cow<'c, str>>,
        tell: &mut dyn FnMut(Fault),
    ) -> Result<(), Full> {
        for state in &mut self.keys {
            let rule = &self.schema.keys[state.rule];
            let scratch = &mut self.scratch;
            let mut key_of = |columns: &[usize], fields: &[usize]| {
                let cells = columns.iter().zip(fields).map(|(column, field)| (&self.schema.fields[*field], cell(*column)));
                self.schema.hasher.key(cells, scratch)
            };
            let column = state.columns.first().copied();
            if let Purpose::RefersHere { targets } = &rule.purpose
                && let Key::Hash(target) = key_of(&state.targets, targets)
            {
                state.seen.insert(target, &mut self.budget)?;
            }
            match (key_of(&state.columns, &rule.fields), &rule.purpose) {
                (Key::Null, Purpose::Primary) => {
                    tell(rule.fault(column, None, format!("{} must hold a value", names(&self.schema, rule))));
                }
                // A key that is null in a part is equal to none and refers to none, as in SQL; what is broken was told.
                (Key::Null | Key::Broken, _) => {}
                (Key::Hash(hash), Purpose::Refers { known, .. }) => {
                    if !known.has(hash) {
                        tell(rule.fault(column, None, refers_to_nothing(rule)));
                    }
                }
                (Key::Hash(hash), Purpose::RefersHere { .. }) => {
                    if !state.seen.has(hash) {
                        state.wait_for(hash, self.rows, &mut self.budget)?;
                    }
                }
                (Key::Hash(hash), _) => {
                    if !state.seen.insert(hash, &mut self.budget)? {
                        let message = format!("{} must not be as in an earlier row", names(&self.schema, rule));
                        tell(rule.fault(column, None, message));
                    }
                }
            }
        }
        Ok(())
    }
}

impl KeyState {
    /// With so many more keys, at most.
    fn memory_bytes(&self, more: usize) -> usize {
        let (len, capacity) = (self.awaited.len(), self.awaited.capacity());
        // The old list is there until it has been copied into the one that is twice as long.
        let awaited = if len + more > capacity { 3 * capacity + more } else { capacity };
        self.seen.memory_bytes(more) + awaited * size_of::<(u128, u64)>()
    }

    fn wait_for(&mut self, hash: u128, row: u64, budget: &mut Budget) -> Result<(), Full> {
        if self.awaited.len() == self.awaited.capacity() {
            let more = self.awaited.len().max(64);
            budget.take(more * size_of::<(u128, u64)>())?;
            self.awaited.reserve_exact(more);
        }
        self.awaited.push((hash, row));
        Ok(())
    }
}

/// The whole check of a cell that holds something.
fn check(field: &Field, column: usize, cell: &str, scratch: &mut Vec<u8>, tell: &mut dyn FnMut(Fault)) {
    let logical = match &field.rules {
        Some(rules) => field.kind.read(cell).map(|logical| (rules, logical)),
        None if field.kind.accepts(cell) => return,
        None => None,
    };
    match logical {
        Some((rules, logical)) => {
            rules.check(&logical, scratch, &mut |constraint, message| tell(broken(column, constraint, message)));
        }
        None => {
            let unheld = matches!(field.kind, Kind::Object | Kind::Array) && field.kind.accepts(cell);
            let limits = if unheld { " whose numbers fit binary64, nested at most 128 deep" } else { "" };
            let message = format!("the value must be {}{limits}", field.kind.expected());
            tell(Fault { code: Code::TypeError, field: Some(column), constraint: None, row: None, message });
        }
    }
}

fn broken(column: usize, constraint: &'static str, message: String) -> Fault {
    Fault { code: Code::ConstraintError, field: Some(column), constraint: Some(constraint), row: None, message }
}

fn refers_to_nothing(rule: &KeyRule) -> String {
    match &rule.purpose {
        Purpose::Refers { resource, .. } => format!("the value must be in the table {resource:?}"),
        _ => "the value must be in the fields of this table that it refers to".to_owned(),
    }
}

fn names(schema: &TableSchema, rule: &KeyRule) -> String {
    match rule.fields.as_slice() {
        [_] => "the value".to_owned(),
        fields => {
            let names: Vec<_> = fields.iter().map(|field| format!("{:?}", schema.fields[*field].name)).collect();
            format!("the values of {} together", names.join(", "))
        }
    }
}
