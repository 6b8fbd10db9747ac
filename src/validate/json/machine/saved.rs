//! A machine in the middle of a text, as it is written down.

use serde::{Deserialize, Serialize};

use super::{Container, Machine, Role, State};
use crate::validate::json::fault::Wanted;
use crate::validate::json::number::Digits;
use crate::validate::position::Place;

/// What has been read. Not the limit: that is of whoever goes on.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::validate) struct SavedMachine {
    state: State,
    /// What is open, outermost first: `[` or `{` for each level.
    open: String,
    elements: u64,
    token_bytes: u64,
}

impl Machine {
    /// What it knows between two pieces of text.
    pub(in crate::validate) fn save(&self) -> SavedMachine {
        let bracket = |container: &Container| match container {
            Container::Array => '[',
            Container::Object => '{',
        };
        SavedMachine {
            state: self.state,
            open: self.open.iter().map(bracket).collect(),
            elements: self.elements,
            token_bytes: self.token_bytes,
        }
    }

    /// Goes on from `here` with what was saved there; `None` where that is beyond the limits, or can't have
    /// been. None that remembers names goes on.
    pub(in crate::validate) fn resume(self, saved: SavedMachine, here: Place) -> Option<Self> {
        let SavedMachine { state, open, elements, token_bytes } = saved;
        let container = |bracket| match bracket {
            '[' => Some(Container::Array),
            '{' => Some(Container::Object),
            _ => None,
        };
        let open = open.chars().map(container).collect::<Option<Vec<_>>>()?;
        let fits = self.can_be_saved()
            && open.len() <= self.max_depth
            && (open.len() as u64).max(elements) <= here.offset
            && state.token_bytes().is_some_and(|bytes| bytes < here.column)
            && token_bytes <= self.max_token_bytes.min(here.offset)
            && state.may_stand_in(open.last().copied());
        fits.then_some(Self { state, open, elements, token_bytes, ..self })
    }
}

impl State {
    /// How many bytes of this line are known to belong to the token in which the machine stands; `None` where there is no such
    /// token. None reaches over a line end.
    fn token_bytes(self) -> Option<u64> {
        match self {
            Self::Between(_) => Some(0),
            Self::Escape(_, escape) => Some(1 + escape.bytes()?),
            Self::Text(_) | Self::Number(Digits::Minus | Digits::Zero | Digits::Integer) => Some(1),
            Self::Number(Digits::Point | Digits::E) => Some(2),
            Self::Number(Digits::Fraction | Digits::ESign | Digits::Exponent) => Some(3),
            Self::Word(word, seen) => (1..word.letters().len()).contains(&seen).then_some(seen as u64),
        }
    }

    /// Whether what comes next can come inside of this container, or outside of any.
    fn may_stand_in(self, container: Option<Container>) -> bool {
        match self {
            Self::Between(Wanted::Text | Wanted::Nothing) => container.is_none(),
            Self::Between(Wanted::Element | Wanted::ElementOrEnd | Wanted::CommaOrBracket) => {
                container == Some(Container::Array)
            }
            Self::Between(Wanted::Member | Wanted::Name | Wanted::NameOrEnd | Wanted::Colon | Wanted::CommaOrBrace)
            | Self::Text(Role::Name)
            | Self::Escape(Role::Name, _) => container == Some(Container::Object),
            // A value, which may be anywhere.
            Self::Text(Role::Value) | Self::Escape(Role::Value, _) | Self::Number(_) | Self::Word(..) => true,
        }
    }
}
