//! A robust least-squares problem, and its solution within bounds.

/// How far off times are, and how that depends on each coefficient.
#[derive(Debug)]
pub(super) struct Problem {
    n: usize,
    pub(super) errors: Vec<f64>,
    /// A row of `n` for each error.
    slopes: Vec<f64>,
}

impl Problem {
    pub(super) fn new(n: usize) -> Self {
        Self { n, errors: Vec::new(), slopes: Vec::new() }
    }

    /// One time that is off by `error`, and by `slopes` more for each coefficient.
    pub(super) fn push(&mut self, error: f64, slopes: impl Iterator<Item = f64>) {
        self.errors.push(error);
        self.slopes.extend(slopes);
        debug_assert_eq!(self.slopes.len(), self.n * self.errors.len());
    }

    /// The errors squared where they are small; large ones count for less, because a few requests always are odd.
    pub(super) fn cost(&self) -> f64 {
        self.errors.iter().map(|error| 2.0 * ((1.0 + error * error).sqrt() - 1.0)).sum()
    }
}

/// The coefficients from 0 to `most` with which the errors would be smallest, if they depended on them as they do at `z`. Each is
/// pulled towards `prior` by its `ridge`.
///
/// The normal equations by coordinate descent: at most a dozen unknowns, kept apart by the ridge.
pub(super) fn nearest(problem: &Problem, z: &[f64], prior: &[f64], ridge: &[f64], most: &[f64]) -> Vec<f64> {
    const SWEEPS: usize = 20_000;
    let n = problem.n;
    let (mut matrix, mut right) = (vec![0.0; n * n], vec![0.0; n]);
    for (error, slopes) in problem.errors.iter().zip(problem.slopes.chunks_exact(n)) {
        let weight = 1.0 / (1.0 + error * error).sqrt();
        let target: f64 = slopes.iter().zip(z).map(|(slope, z)| slope * z).sum::<f64>() - error;
        for (row, slope) in slopes.iter().enumerate() {
            right[row] += weight * slope * target;
            for (column, other) in slopes.iter().enumerate() {
                matrix[row * n + column] += weight * slope * other;
            }
        }
    }
    for at in 0..n {
        matrix[at * n + at] += ridge[at] * ridge[at];
        right[at] += ridge[at] * ridge[at] * prior[at];
    }
    let mut found = z.to_vec();
    for _ in 0..SWEEPS {
        let mut moved = 0.0_f64;
        for at in 0..n {
            let row = &matrix[at * n..(at + 1) * n];
            let others: f64 =
                row.iter().zip(&found).map(|(factor, found)| factor * found).sum::<f64>() - row[at] * found[at];
            let next = ((right[at] - others) / row[at]).clamp(0.0, most[at]);
            moved = moved.max((next - found[at]).abs());
            found[at] = next;
        }
        if moved < 1e-10 {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_coefficients_stay_within_their_bounds() {
        // Errors are small: each is a line with its slope.
        let truth = [0.3, 0.0, 2.0];
        let rows = [[1.0, 2.0, 0.5], [0.2, 1.0, 1.0], [3.0, 0.1, 0.4], [1.0, 1.0, 1.0]];
        let z = [0.3, 0.001, 1.999];
        let mut problem = Problem::new(3);
        for row in rows {
            let error = row.iter().zip(z).zip(truth).map(|((slope, z), truth)| slope * (z - truth)).sum();
            problem.push(error, row.into_iter());
        }
        let found = nearest(&problem, &z, &[1.0; 3], &[0.0; 3], &[f64::INFINITY; 3]);
        assert!(found.iter().zip(truth).all(|(found, truth)| (found - truth).abs() < 1e-6), "{found:?}");
        let bounded = nearest(&problem, &z, &[1.0; 3], &[0.0; 3], &[f64::INFINITY, f64::INFINITY, 1.5]);
        assert_eq!(bounded[2], 1.5);
    }
}
