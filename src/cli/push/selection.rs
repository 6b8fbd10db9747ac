//! What of a plan is sent: regular files and standard input.

use crate::cli::plan::{Input, Plan, Special};
use crate::error::{Error, ErrorKind};

/// The plan without the items that must not be sent, which are refused.
pub(super) fn of(mut plan: Plan) -> Plan {
    refuse_special(&mut plan);
    plan
}

/// Refuses what can't be read a second time, and whose opening may block without end.
fn refuse_special(plan: &mut Plan) {
    for item in std::mem::take(&mut plan.items) {
        let Input::Special(kind) = item.input else {
            plan.items.push(item);
            continue;
        };
        let path = item.path.display();
        let remedy = match kind {
            Special::Pipe | Special::Device => format!("send what it gives with: tidegate push - --name NAME < {path}"),
            Special::Socket => "leave it out".to_owned(),
        };
        let message = format!("\"{path}\" is {kind}, not a regular file; {remedy}");
        plan.refused.push((item, Error::new(ErrorKind::Io, message)));
    }
}
