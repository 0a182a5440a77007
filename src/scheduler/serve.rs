//! A runtime of our own with a hub on it.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use super::{attach, driver};
use crate::hub::Config;
use crate::shared::Mailbox;

/// Makes a runtime for a hub with these settings.
pub(crate) fn runtime(config: &Config) -> io::Result<LocalRuntime> {
    let mut runtime = Builder::new_current_thread();
    runtime.enable_all();
    #[cfg(feature = "test-util")]
    runtime.start_paused(config.start_paused);
    #[cfg(not(feature = "test-util"))]
    let _ = config;
    runtime.build_local(LocalOptions::default())
}

/// Runs a hub without a root fiber on this thread until it is closed and has ended. Calls `started`
/// once the hub exists.
///
/// # Errors
///
/// Returns an error if the runtime cannot be made.
pub(crate) fn serve(config: Config, started: impl FnOnce(&Arc<Mailbox>)) -> io::Result<()> {
    let runtime = runtime(&config)?;
    let core = runtime.block_on(async {
        let core = attach::add_driven(config, runtime.handle());
        started(&core.mailbox);
        driver::run_until_closed(&core).await;
        core
    });
    drop(runtime);
    // The last handle to the hub drops the values that the program kept with it. This may be that
    // handle.
    drop(core);
    Ok(())
}
