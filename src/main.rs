//! The command line: parse, run, exit code.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// With glibc's a miss costs a tenth more, and a full cache half as much memory again (docs/performance.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    idv_gateway::cli::main()
}
