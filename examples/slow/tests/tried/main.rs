//! Synchronous libraries on fibers, unmodified, like `examples/libraries/tests/tried`: those whose
//! libraries take long to compile. `run.sh` runs them one by one and says what each has shown.
//!
//! Each module has the tests of one library, and is there with the feature of its name.

#[cfg(feature = "gix")]
mod gix;
#[cfg(feature = "handlebars")]
mod handlebars;
#[cfg(feature = "mlua")]
mod mlua;
#[cfg(feature = "openssl")]
mod openssl;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "rquickjs")]
mod rquickjs;
#[cfg(feature = "rusqlite")]
mod rusqlite;
#[allow(dead_code)] // not each library needs files
mod scratch;
#[cfg(all(feature = "ssh2", unix))]
mod ssh2;
#[cfg(feature = "stacker")]
mod stacker;
#[path = "../../../../tests/support/mod.rs"]
mod support;
#[allow(dead_code)] // each library uses its own part
#[path = "../../../libraries/tests/tried/through.rs"]
mod through;
#[cfg(feature = "ureq")]
mod ureq;
#[allow(dead_code)] // not each library has callbacks
mod waits;
#[cfg(feature = "wasmi")]
mod wasmi;
#[cfg(feature = "wasmtime")]
mod wasmtime;
#[cfg(feature = "xz2")]
mod xz2;
