//! How a program gets a hub.

mod builder;
mod hub;
mod run;

pub use builder::HubBuilder;
pub use hub::Hub;
pub use run::run;
