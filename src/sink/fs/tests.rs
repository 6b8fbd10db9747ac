//! What the sink makes of power cuts, kills and failures, at every single operation of the disk.

mod answers;
mod attributes;
mod checkpoints;
mod crashes;
mod failures;
mod folders;
mod forgetful;
mod probes;
mod random;
mod script;
mod together;
