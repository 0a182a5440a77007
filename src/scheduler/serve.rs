//! A runtime of our own with a hub on it.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use super::{attach, driver};
use crate::hub::Config;
use crate::shared::Mailbox;

/// A runtime for a hub with these settings.
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
/// when it is there.
///
/// # Errors
///
/// If its runtime cannot be made.
pub(crate) fn serve(config: Config, started: impl FnOnce(&Arc<Mailbox>)) -> io::Result<()> {
    let runtime = runtime(&config)?;
    let core = runtime.block_on(async {
        let core = attach::add_driven(config, runtime.handle());
        started(&core.mailbox);
        driver::run_until_closed(&core).await;
        core
    });
    drop(runtime);
    // What the program kept with the hub is dropped by its last handle. This may be it.
    drop(core);
    Ok(())
}
