//! ash-flare measured beside its peers: one program a system, each figure in a process of its own.
//!
//! A program is given a figure and a number of children, and prints an [`Answer`]. The program
//! `compare` runs them all and makes a table of it.

pub mod outcome;
pub mod table;
pub mod versions;

use benches::measure::Figure;
use benches::system::{Answer, Family, measure};

/// Is the whole of a system's program.
///
/// # Panics
///
/// Panics if the command line is not a figure's name and a number, or the system panics.
pub fn program<S: Family>() -> ! {
    answer(measure::<S>)
}

/// Takes the figure that the command line names, prints it, and leaves without cleaning up: what
/// a system does when its program ends is not what is measured.
///
/// # Panics
///
/// Panics if the command line is not a figure's name and a number, or the system panics.
pub fn answer(measure: impl FnOnce(Figure, usize) -> Answer) -> ! {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [figure, count] = arguments.as_slice() else { panic!("say a figure and a number") };
    let figure = Figure::ALL.into_iter().find(|known| known.name() == figure);
    let count = count.parse().expect("the number is one");
    println!("{}", measure(figure.expect("the figure is one"), count).lines());
    std::process::exit(0)
}
