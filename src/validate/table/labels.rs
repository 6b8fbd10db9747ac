//! Which column is which field: `fieldsMatch`.

use super::columns::Fault;
use super::field::{Field, Presence};
use crate::report::Code;

/// How the fields of a schema and the labels of a table belong together (Table Schema 2.0, "fieldsMatch").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldsMatch {
    /// The same, in the same order.
    Exact,
    /// The same, in any order.
    Equal,
    /// The table has all fields, and perhaps more.
    Subset,
    /// The table has no other fields, and perhaps fewer.
    Superset,
    /// The table has one of the fields at least.
    Partial,
}

impl FieldsMatch {
    pub(super) const NAMES: [(&str, Self); 5] = [
        ("exact", Self::Exact),
        ("equal", Self::Equal),
        ("subset", Self::Subset),
        ("superset", Self::Superset),
        ("partial", Self::Partial),
    ];

    /// Whether a table may lack fields.
    pub(super) fn may_lack(self) -> bool {
        matches!(self, Self::Superset | Self::Partial)
    }

    /// The field of each column, by its place in the schema; tells what is wrong with the labels.
    pub(super) fn lay(self, fields: &[Field], labels: &[&str], tell: &mut dyn FnMut(Fault)) -> Vec<Option<usize>> {
        match self {
            Self::Exact => lay_in_order(fields, labels, tell),
            _ => self.lay_by_name(fields, labels, tell),
        }
    }

    fn lay_by_name(self, fields: &[Field], labels: &[&str], tell: &mut dyn FnMut(Fault)) -> Vec<Option<usize>> {
        let mut free = vec![true; fields.len()];
        let mut laid = Vec::with_capacity(labels.len());
        for (column, label) in labels.iter().enumerate() {
            let field = (0..fields.len()).find(|field| free[*field] && fields[*field].name == *label);
            if let Some(field) = field {
                free[field] = false;
            } else if matches!(self, Self::Equal | Self::Superset) {
                tell(Fault::label(Code::ExtraLabel, Some(column), extra(fields)));
            }
            laid.push(field);
        }
        for (field, _) in fields.iter().zip(&free).filter(|(_, free)| **free) {
            // A value that is required can't be absent with its whole column.
            if !self.may_lack() || field.presence == Presence::Required {
                tell(Fault::label(Code::MissingLabel, None, missing(field)));
            }
        }
        if self == Self::Partial && free.iter().all(|free| *free) {
            let message = "the header must have one of the schema's fields at least, and has none".to_owned();
            tell(Fault::label(Code::MissingLabel, None, message));
        }
        laid
    }
}

fn lay_in_order(fields: &[Field], labels: &[&str], tell: &mut dyn FnMut(Fault)) -> Vec<Option<usize>> {
    for (column, label) in labels.iter().enumerate() {
        match fields.get(column) {
            Some(field) if field.name == *label => {}
            Some(field) => {
                let message = format!("the schema has the field {:?} in this place", field.name);
                tell(Fault::label(Code::IncorrectLabel, Some(column), message));
            }
            None => tell(Fault::label(Code::ExtraLabel, Some(column), extra(fields))),
        }
    }
    for field in fields.iter().skip(labels.len()) {
        tell(Fault::label(Code::MissingLabel, None, missing(field)));
    }
    (0..labels.len()).map(|column| (column < fields.len()).then_some(column)).collect()
}

fn extra(fields: &[Field]) -> String {
    format!("the schema has no field for this label; it has {} fields", fields.len())
}

fn missing(field: &Field) -> String {
    format!("the header must have the schema's field {:?}", field.name)
}
