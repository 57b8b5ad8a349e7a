//! INFO, TIME, COMMAND, CONFIG, CLIENT: what the server tells about itself.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use otp_stdlib::prelude::DynamicSupervisorRef;
use otp_vm::Context;

use super::session::Session;
use crate::kv::acceptor::CONNECTIONS;
use crate::kv::command::{Command, Name};
use crate::kv::glob;
use crate::kv::resp::{Arguments, Refusal, Reply};

/// The version whose commands these are, for clients that ask before they use one.
const REDIS_VERSION: &str = "7.0.0";

impl Session {
    pub(super) async fn tell_about(
        &mut self,
        cx: &mut Context,
        command: &'static Command,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Result<(), Refusal> {
        match command.name {
            Name::Time => {
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                reply.array(2);
                reply.bulk(now.as_secs().to_string().as_bytes());
                reply.bulk(now.subsec_micros().to_string().as_bytes());
                Ok(())
            }
            Name::Info => {
                let info = self.info(cx, arguments).await;
                reply.bulk(info.as_bytes());
                Ok(())
            }
            Name::Command => command_command(arguments, reply),
            Name::Config => self.config(arguments, reply),
            Name::Client => self.client(cx, arguments, reply),
            other => unreachable!("{other:?} is carried out elsewhere"),
        }
    }

    async fn info(&self, cx: &mut Context, arguments: Arguments<'_>) -> String {
        let wanted = |section: &str| {
            arguments.len() == 1
                || arguments.from(1).any(|name| {
                    [section, "all", "default", "everything"]
                        .iter()
                        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
                })
        };
        let system = cx.vm().system_info();
        let mut text = String::new();
        let mut section = |name: &str, lines: &[(&str, String)]| {
            if wanted(name) {
                if !text.is_empty() {
                    text.push_str("\r\n");
                }
                let _ = write!(text, "# {}{}\r\n", name[..1].to_uppercase(), &name[1..]);
                for (key, value) in lines {
                    let _ = write!(text, "{key}:{value}\r\n");
                }
            }
        };
        let uptime = cx.vm().statistics().wall_clock.as_secs();
        section(
            "server",
            &[
                ("redis_version", REDIS_VERSION.to_owned()),
                ("redis_mode", "standalone".to_owned()),
                ("os", std::env::consts::OS.to_owned()),
                ("arch_bits", usize::BITS.to_string()),
                ("otp_vm_version", system.version.to_owned()),
                ("schedulers", system.schedulers.to_string()),
                ("process_id", std::process::id().to_string()),
                ("uptime_in_seconds", uptime.to_string()),
                ("uptime_in_days", (uptime / 86_400).to_string()),
            ],
        );
        let clients = match DynamicSupervisorRef::from_name(CONNECTIONS) {
            Ok(connections) => connections
                .count_children(cx)
                .await
                .map_or(0, |counts| counts.active),
            Err(_) => 0,
        };
        section(
            "clients",
            &[
                ("connected_clients", clients.to_string()),
                ("maxclients", self.limits.clients.to_string()),
            ],
        );
        let memory = self.tables().map_or(0, |tables| tables.memory());
        section(
            "memory",
            &[
                ("used_memory", memory.to_string()),
                ("maxmemory", "0".to_owned()),
            ],
        );
        section(
            "stats",
            &[
                ("processes", system.process_count.to_string()),
                ("processes_spawned", system.spawned.to_string()),
                ("processes_crashed", system.crashed.to_string()),
            ],
        );
        section(
            "replication",
            &[
                ("role", "master".to_owned()),
                ("connected_slaves", "0".to_owned()),
            ],
        );
        let (keys, expires) = self
            .tables()
            .map_or((0, 0), |tables| (tables.data.len(), tables.expiry.len()));
        let keyspace = [("db0", format!("keys={keys},expires={expires},avg_ttl=0"))];
        section("keyspace", if keys > 0 { &keyspace } else { &[] });
        text
    }

    fn config(&self, arguments: Arguments<'_>, reply: &mut Reply) -> Result<(), Refusal> {
        let subcommand = arguments[1].to_ascii_lowercase();
        match (subcommand.as_slice(), arguments.len()) {
            (b"get", 3..) => {
                let limits = &self.limits;
                let settings = [
                    ("appendonly", "no".to_owned()),
                    ("client-query-buffer-limit", limits.frame_bytes.to_string()),
                    ("databases", "1".to_owned()),
                    ("maxclients", limits.clients.to_string()),
                    ("maxmemory", "0".to_owned()),
                    ("proto-max-bulk-len", limits.value_bytes.to_string()),
                    ("save", String::new()),
                    ("timeout", "0".to_owned()),
                ];
                let wanted = |name: &str| {
                    arguments.from(2).any(|pattern| {
                        glob::matches(&pattern.to_ascii_lowercase(), name.as_bytes())
                    })
                };
                let found: Vec<_> = settings.iter().filter(|(name, _)| wanted(name)).collect();
                reply.array(found.len() * 2);
                for (name, value) in found {
                    reply.bulk(name.as_bytes());
                    reply.bulk(value.as_bytes());
                }
            }
            (b"set", 4..) => {
                let name = String::from_utf8_lossy(&arguments[2]).into_owned();
                reply.error(&format!(
                    "ERR CONFIG SET failed (possibly related to argument '{name}') - can't set immutable config; limits \
                     are given on the command line"
                ));
            }
            (b"resetstat", 2) => reply.ok(),
            (b"help", 2) => help(
                reply,
                "CONFIG",
                &[
                    "GET <pattern>",
                    "SET <directive> <value>",
                    "RESETSTAT",
                    "HELP",
                ],
            ),
            (b"get", _) => return Err(Refusal::Arity("config|get")),
            (b"set", _) => return Err(Refusal::Arity("config|set")),
            (b"resetstat", _) => return Err(Refusal::Arity("config|resetstat")),
            (b"help", _) => return Err(Refusal::Arity("config|help")),
            _ => unknown_subcommand(reply, "CONFIG", &arguments[1]),
        }
        Ok(())
    }

    fn client(
        &mut self,
        cx: &Context,
        arguments: Arguments<'_>,
        reply: &mut Reply,
    ) -> Result<(), Refusal> {
        let subcommand = arguments[1].to_ascii_lowercase();
        match (subcommand.as_slice(), arguments.len()) {
            (b"id", 2) => reply.integer(client_id(cx)),
            (b"getname", 2) if self.name.is_empty() => reply.null(),
            (b"getname", 2) => reply.bulk(&self.name),
            (b"setname", 3) => {
                if arguments[2].iter().all(|byte| (b'!'..=b'~').contains(byte)) {
                    self.name = arguments[2].to_vec();
                    reply.ok();
                } else {
                    reply.error(
                        "ERR Client names cannot contain spaces, newlines or special characters.",
                    );
                }
            }
            // Newer clients tell the name of their library; there is nobody to whom it would be shown.
            (b"setinfo", 4) => reply.ok(),
            (b"info", 2) => reply.bulk(self.client_info(cx).as_bytes()),
            (b"help", 2) => help(
                reply,
                "CLIENT",
                &[
                    "ID",
                    "GETNAME",
                    "SETNAME <name>",
                    "SETINFO <option> <value>",
                    "INFO",
                    "HELP",
                ],
            ),
            (b"id", _) => return Err(Refusal::Arity("client|id")),
            (b"getname", _) => return Err(Refusal::Arity("client|getname")),
            (b"setname", _) => return Err(Refusal::Arity("client|setname")),
            (b"setinfo", _) => return Err(Refusal::Arity("client|setinfo")),
            (b"info", _) => return Err(Refusal::Arity("client|info")),
            (b"help", _) => return Err(Refusal::Arity("client|help")),
            _ => unknown_subcommand(reply, "CLIENT", &arguments[1]),
        }
        Ok(())
    }

    fn client_info(&self, cx: &Context) -> String {
        format!(
            "id={} addr={} name={} db=0 sub={} psub=0\n",
            client_id(cx),
            self.peer(),
            String::from_utf8_lossy(&self.name),
            self.channels.len(),
        )
    }
}

/// The connection's pid as a number: as unique as it.
fn client_id(cx: &Context) -> i64 {
    (i64::from(cx.pid().serial()) << 28) | i64::from(cx.pid().index())
}

fn unknown_subcommand(reply: &mut Reply, command: &str, subcommand: &[u8]) {
    let subcommand = String::from_utf8_lossy(&subcommand[..subcommand.len().min(128)]).into_owned();
    reply.error(&format!(
        "ERR unknown subcommand '{subcommand}'. Try {command} HELP."
    ));
}

fn help(reply: &mut Reply, command: &str, subcommands: &[&str]) {
    reply.array(subcommands.len() + 1);
    reply.simple(&format!(
        "{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    ));
    for subcommand in subcommands {
        reply.simple(subcommand);
    }
}

fn command_command(arguments: Arguments<'_>, reply: &mut Reply) -> Result<(), Refusal> {
    let Some(subcommand) = arguments.get(1) else {
        reply.array(Command::all().len());
        Command::all()
            .iter()
            .for_each(|command| describe(reply, command));
        return Ok(());
    };
    let chosen = |from| arguments.from(from).map(Command::find);
    match (subcommand.to_ascii_lowercase().as_slice(), arguments.len()) {
        (b"count", 2) => reply.count(Command::all().len()),
        (b"list", 2) => {
            reply.array(Command::all().len());
            Command::all()
                .iter()
                .for_each(|command| reply.bulk(command.text.as_bytes()));
        }
        (b"info", 2) => {
            reply.array(Command::all().len());
            Command::all()
                .iter()
                .for_each(|command| describe(reply, command));
        }
        (b"info", _) => {
            reply.array(arguments.len() - 2);
            for command in chosen(2) {
                match command {
                    Some(command) => describe(reply, command),
                    None => reply.null(),
                }
            }
        }
        (b"docs", 2) => document(reply, Command::all().iter().collect()),
        (b"docs", _) => document(reply, chosen(2).flatten().collect()),
        (b"help", 2) => help(
            reply,
            "COMMAND",
            &[
                "(no subcommand)",
                "COUNT",
                "DOCS [<name> ...]",
                "INFO [<name> ...]",
                "LIST",
                "HELP",
            ],
        ),
        (b"count", _) => return Err(Refusal::Arity("command|count")),
        (b"help", _) => return Err(Refusal::Arity("command|help")),
        _ => unknown_subcommand(reply, "COMMAND", subcommand),
    }
    Ok(())
}

/// One element of COMMAND: ten fields, the last four of which are empty here.
fn describe(reply: &mut Reply, command: &Command) {
    let (first, last, step) = command.keys;
    reply.array(10);
    reply.bulk(command.text.as_bytes());
    reply.integer(command.arity);
    reply.array(command.flags.len());
    command.flags.iter().for_each(|flag| reply.simple(flag));
    [first, last, step]
        .into_iter()
        .for_each(|number| reply.integer(number));
    (0..4).for_each(|_| reply.array(0));
}

/// COMMAND DOCS: names and maps as flat arrays.
fn document(reply: &mut Reply, commands: Vec<&Command>) {
    reply.array(commands.len() * 2);
    for command in commands {
        reply.bulk(command.text.as_bytes());
        reply.array(6);
        for text in [
            "summary",
            command.summary,
            "since",
            "1.0.0",
            "group",
            command.group,
        ] {
            reply.bulk(text.as_bytes());
        }
    }
}
