//! What a command has said.

use std::process::{Child, Output};

use serde_json::Value;

/// What a command printed, and how it ended.
pub struct Told {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Told {
    pub fn of(child: Child) -> Self {
        child.wait_with_output().unwrap().into()
    }

    /// The objects that it printed, one a line.
    pub fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The one object that it printed, once it has ended so.
    #[track_caller]
    pub fn object(&self, code: i32) -> Value {
        self.ended(code);
        assert_eq!(self.out.lines().count(), 1, "{}", self.out);
        serde_json::from_str(&self.out).unwrap()
    }

    #[track_caller]
    pub fn ended(&self, code: i32) {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.out, self.err);
    }

    #[track_caller]
    pub fn warned(&self, part: &str) {
        assert!(self.err.contains(part), "{part:?} is not in\n{}", self.err);
    }
}
