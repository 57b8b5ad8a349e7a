//! Cases about files of configuration.

use std::fs;
use std::path::{Path, PathBuf};

use otp_stdlib::application::{self, Config, MAX_CONFIG_BYTES, MAX_INCLUDES};
use otp_vm::Context;

use super::*;

/// A directory of a test's own, made anew.
fn directory(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    // It is there if the test ran before.
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(path.join("subdir")).unwrap();
    path
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn read(config: &Config, app: &str, key: &str) -> String {
    config
        .get(app, key)
        .map_or_else(|| "undefined".to_owned(), ToString::to_string)
}

#[test]
fn config_change() {
    let at = directory("config_change");
    write(
        &at,
        "t1.toml",
        "[stdlib]\npar2 = ':t1'\npar3 = ':t1'\n[kernel]\nkpar1 = ':kval1'",
    );
    write(&at, "t2.toml", "[stdlib]\npar4 = ':t2'");
    let t3 = write(
        &at,
        "subdir/t3.toml",
        "[stdlib]\npar5 = ':t3'\npar6 = ':t3'",
    );
    write(&at, "t4.toml", "[app1]\npar1 = ':t4'");
    let first = write(&at, "first.toml", "[stdlib]\npar1 = ':sys'\npar2 = ':sys'");
    let sys = format!(
        "include = [{first:?}, 't1.toml', 't2.toml', {t3:?}, 't4.toml']\n[stdlib]\npar6 = ':sys'\n"
    );
    let sys = write(&at, "sys.toml", &sys);
    let config = Config::from_file(sys).unwrap();
    suite(move |cx: Context| config_changed(cx, config.clone()));
}

async fn config_changed(mut cx: Context, config: Config) {
    let cx = &mut cx;
    let stdlib = ApplicationSpec::new("stdlib").vsn("2");
    let specs = vec![app("app1", 1, 3), ApplicationSpec::new("kernel"), stdlib];
    assert!(!is_loaded(cx, "app1"));
    let changed = application::change_application_data(cx, specs, config).await;
    changed.unwrap();
    let pars = ["par1", "par2", "par3", "par4", "par5", "par6"].map(|par| {
        let value = application::get_env::<Atom>(cx, "stdlib", par).unwrap();
        value.unwrap().as_str()
    });
    assert_eq!(pars, ["sys", "t1", "t1", "t2", "t3", "sys"]);
    // One that is not loaded has nothing yet, and has it when it is.
    assert!(application::get_all_env(cx, "app1").is_empty());
    application::load(cx, app("app1", 1, 3)).await.unwrap();
    let par1 = application::get_env::<Atom>(cx, "app1", "par1").unwrap();
    assert_eq!(par1, Some(atom("t4")));
    application::unload(cx, "app1").await.unwrap();
}

/// A file of the working directory, which is gone with this.
struct Here(&'static str);

impl Drop for Here {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0);
    }
}

#[test]
fn config_relative_paths() {
    let at = directory("config_relative_paths");
    let name = "config_relative_paths_current.toml";
    let sys = format!("include = ['../up.toml', '{name}']\n");
    let sys = write(&at, "subdir/sys.toml", &sys);
    write(&at, "up.toml", "[app1]\nkey1 = ':value'\n");
    let here = Here(name);
    fs::write(here.0, "[app1]\nkey2 = ':value1'\n").unwrap();
    let config = Config::from_file(&sys).unwrap();
    assert_eq!(read(&config, "app1", "key1"), "value");
    assert_eq!(read(&config, "app1", "key2"), "value1");

    // What lies beside the file comes before what lies where the program runs.
    write(&at, &format!("subdir/{name}"), "[app1]\nkey2 = ':value2'\n");
    let config = Config::from_file(&sys).unwrap();
    assert_eq!(read(&config, "app1", "key1"), "value");
    assert_eq!(read(&config, "app1", "key2"), "value2");
}

#[test]
fn handle_many_config_files() {
    let at = directory("handle_many_config_files");
    let empty = write(&at, "sys.toml", "");
    let first = write(&at, "first.toml", "[a]\nx = 1\ny = 1\n");
    let second = write(&at, "second.toml", "[a]\ny = 2\n");
    let config = Config::from_files([&empty, &first, &empty, &second]).unwrap();
    assert_eq!(config.to_string(), "[{a,[{x,1},{y,2}]}]");
    let config = Config::from_files([&empty, &empty, &empty]).unwrap();
    suite_with(
        ControllerOptions::new().config(config),
        async |mut cx: Context| {
            assert!(is_started(&mut cx, "kernel").await);
        },
    );
}

#[test]
fn a_file_that_is_wrong_is_named() {
    let at = directory("a_file_that_is_wrong_is_named");
    let missing = at.join("missing.toml");
    let error = Config::from_file(&missing).unwrap_err().to_string();
    assert!(
        error.contains("missing.toml can't be read: No such file"),
        "{error}"
    );
    let including = write(&at, "including.toml", "include = ['nowhere.toml']");
    let error = Config::from_file(including).unwrap_err().to_string();
    assert!(error.contains("nowhere.toml"), "{error}");
    let wrong = write(&at, "wrong.toml", "[a]\nx = \n");
    let error = Config::from_file(wrong).unwrap_err().to_string();
    assert!(error.contains("wrong.toml, line 2: "), "{error}");
    let list = write(&at, "list.toml", "include = 'other.toml'");
    let error = Config::from_file(list).unwrap_err().to_string();
    assert!(error.contains("give a list of files"), "{error}");
}

#[test]
fn files_include_each_other_so_deep_and_no_deeper() {
    let at = directory("files_include_each_other");
    for depth in 0..MAX_INCLUDES + 1 {
        let text = format!(
            "include = ['{}.toml']\n[a]\nx{depth} = {depth}\n",
            depth + 1
        );
        write(&at, &format!("{depth}.toml"), &text);
    }
    write(
        &at,
        &format!("{}.toml", MAX_INCLUDES + 1),
        "[a]\nlast = true\n",
    );
    // The file itself, and so many below it.
    let config = Config::from_file(at.join("1.toml")).unwrap();
    assert_eq!(read(&config, "a", "last"), "true");
    let error = Config::from_file(at.join("0.toml"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("16 deep: is it a circle?"), "{error}");
    let circle = write(&at, "circle.toml", "include = ['circle.toml']");
    let error = Config::from_file(circle).unwrap_err().to_string();
    assert!(error.contains("circle?"), "{error}");
}

#[test]
fn a_file_is_so_long_and_no_longer() {
    let at = directory("a_file_is_so_long");
    let mut text = "#".repeat(MAX_CONFIG_BYTES as usize);
    let path = write(&at, "long.toml", &text);
    assert!(Config::from_file(&path).unwrap().is_empty());
    text.push('#');
    fs::write(&path, text).unwrap();
    let error = Config::from_file(&path).unwrap_err().to_string();
    assert!(error.contains("longer than 16777216 bytes"), "{error}");
}
