//! The `tidegate` command: arguments in, exit code out.

use std::process::ExitCode;

/// Gives memory back to the system soon after it is freed (docs/limits.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    tidegate::cli::main()
}
