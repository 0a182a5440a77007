//! The test that a console sees fibers, in a package of its own: it needs a cfg, which
//! `.cargo/config.toml` sets for what runs in this directory.
