//! What `otp-vm run kv` takes, and what the application `kv` is configured with: each field is the key that is its
//! option's long name, with `_` for `-`.

use std::net::SocketAddr;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::resp::ParserLimits;

/// A server that speaks the Redis protocol, built the OTP way.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Options {
    /// Address and port to listen on; port 0 lets the system choose one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:6380", value_parser = address)]
    #[serde(with = "text")]
    pub listen: SocketAddr,

    /// Processes that accept connections
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub acceptors: u16,

    #[command(flatten)]
    #[serde(flatten)]
    /// Limits of what a client may ask for
    pub limits: Limits,

    #[command(flatten)]
    #[serde(flatten)]
    /// Processes to be killed
    pub chaos: ChaosOptions,
}

/// Limits of what a client may ask for.
#[derive(Clone, Copy, Debug, Args, Serialize, Deserialize)]
pub struct Limits {
    /// Connections at once; one more gets an error and is closed [Redis: maxclients]
    #[arg(long = "max-clients", value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(rename = "max_clients")]
    pub clients: u64,

    /// Bytes of one request with all its arguments [Redis: client-query-buffer-limit]
    #[arg(long = "max-frame-bytes", value_name = "BYTES", default_value_t = 1 << 30, value_parser = size)]
    #[serde(rename = "max_frame_bytes")]
    pub frame_bytes: usize,

    /// Bytes of one argument, and of a string value [Redis: proto-max-bulk-len]
    #[arg(long = "max-value-bytes", value_name = "BYTES", default_value_t = 512 << 20, value_parser = size)]
    #[serde(rename = "max_value_bytes")]
    pub value_bytes: usize,

    /// Arguments of one request [Redis: 2^31 - 1]
    #[arg(long = "max-arguments", value_name = "N", default_value_t = 1 << 20, value_parser = size)]
    #[serde(rename = "max_arguments")]
    pub arguments: usize,

    /// Bytes of a reply of many elements, and of what waits for one subscriber [Redis: client-output-buffer-limit]
    #[arg(long = "max-output-bytes", value_name = "BYTES", default_value_t = 256 << 20, value_parser = size)]
    #[serde(rename = "max_output_bytes")]
    pub output_bytes: usize,
}

/// A value as text, as people write it.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Requests travel with lengths of 32 bits.
const SIZE_MAX: u32 = u32::MAX;

/// A limit of what is counted in a request or reply. None may be 0, or no request at all would be answered.
fn size(text: &str) -> Result<usize, String> {
    match text.parse::<u32>() {
        Ok(size) if size > 0 => Ok(size as usize),
        _ => Err(format!("a number from 1 to {SIZE_MAX} is wanted")),
    }
}

/// Host names are not looked up: one may stand for several addresses, and it would be open to which of them clients
/// come.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "an IP address and a port are wanted, such as 127.0.0.1:6380, [::1]:6380 or 0.0.0.0:6380".to_owned()
    })
}

impl Limits {
    /// Those that concern the form of requests.
    pub fn parser(&self) -> ParserLimits {
        ParserLimits {
            frame_bytes: self.frame_bytes,
            value_bytes: self.value_bytes,
            arguments: self.arguments,
        }
    }
}

/// Processes to be killed, to show that it does no harm.
#[derive(Clone, Copy, Debug, Args, Serialize, Deserialize)]
pub struct ChaosOptions {
    /// Kill so many processes a second at random, each kind below its restart intensity
    #[arg(long = "chaos", value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    #[serde(rename = "chaos")]
    pub kills_per_second: u32,

    /// Kill the store until every restart intensity above it is exceeded: the tree ends with `shutdown`
    #[arg(long = "chaos-exceed", conflicts_with = "kills_per_second")]
    #[serde(rename = "chaos_exceed")]
    pub exceed: bool,

    /// The seed by which victims are chosen [default: a new one each time, which is logged]
    #[arg(long = "chaos-seed", value_name = "SEED")]
    #[serde(
        rename = "chaos_seed",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub seed: Option<u64>,
}
