//! `outgate pac`.

use std::path::Path;
use std::process::ExitCode;

use super::{configuration, fail, print};
use crate::facts::{Destination, Host, Port};
use crate::protocol::pac;

pub(super) fn run(config: Option<&Path>) -> ExitCode {
    let config = match configuration(config) {
        Ok((config, _)) => config,
        Err(error) => return fail(&error),
    };
    let Some(first) = config.listen.first() else {
        return fail("the configuration has no listener");
    };
    match Port::new(first.address.port()) {
        Ok(port) => {
            let proxy = Destination::new(Host::Ip(first.address.ip()), port);
            print(&pac::script(&proxy, first.tls.is_some()));
            ExitCode::SUCCESS
        }
        Err(_) => fail("the first listener has port 0, so its port is not known before it starts"),
    }
}
