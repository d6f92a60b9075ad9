//! Python's JSON scanner: what it takes beyond the standard, and where and why it refuses the rest. Only bodies that are
//! no standard JSON get here, and those with something wrong in them, whose large numbers are then told exactly.

use serde_json::{Map, Number, Value};

use super::{MOST_DEPTH, MOST_DIGITS};
use crate::wire::large_number;

/// Why a text is not read.
pub(super) enum Failure {
    /// At this character.
    Syntax { at: usize, message: &'static str },
    /// It is nested too deeply, or has an integer of too many digits.
    Unreadable,
}

/// The value that is the whole text.
pub(super) fn value(text: &[char]) -> Result<Value, Failure> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.skip_space();
    let value = scanner.value(0)?;
    scanner.skip_space();
    if scanner.at < text.len() { Err(refused(scanner.at, "Extra data")) } else { Ok(value) }
}

fn refused(at: usize, message: &'static str) -> Failure {
    Failure::Syntax { at, message }
}

struct Scanner<'a> {
    text: &'a [char],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn skip_word(&mut self, word: &str) -> bool {
        let found = word.chars().eq(self.text[self.at..].iter().copied().take(word.len()));
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, Failure> {
        if depth > MOST_DEPTH {
            return Err(Failure::Unreadable);
        }
        match self.peek() {
            Some('"') => self.string().map(Value::String),
            Some('{') => self.object(depth),
            Some('[') => self.list(depth),
            _ => self.word_or_number(),
        }
    }

    fn word_or_number(&mut self) -> Result<Value, Failure> {
        let words = [("null", Value::Null), ("true", true.into()), ("false", false.into())];
        for (word, value) in words {
            if self.skip_word(word) {
                return Ok(value);
            }
        }
        for word in ["NaN", "Infinity", "-Infinity"] {
            if self.skip_word(word) {
                return Ok(large_number::value(word));
            }
        }
        self.number()?.ok_or(refused(self.at, "Expecting value"))
    }

    /// `None` if there is none.
    fn number(&mut self) -> Result<Option<Value>, Failure> {
        let digits = |from: usize| self.text[from..].iter().take_while(|c| c.is_ascii_digit()).count();
        let is = |at: usize, chars: &[char]| self.text.get(at).is_some_and(|c| chars.contains(c));
        let start = self.at + usize::from(self.peek() == Some('-'));
        let mut end = match self.text.get(start).unwrap_or(&' ') {
            '0' => start + 1,
            '1'..='9' => start + digits(start),
            _ => return Ok(None),
        };
        let whole = end;
        if is(end, &['.']) && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
        }
        if is(end, &['e', 'E']) {
            let from = end + 1 + usize::from(is(end + 1, &['+', '-']));
            if digits(from) > 0 {
                end = from + digits(from);
            }
        }
        let text: String = self.text[self.at..end].iter().collect();
        self.at = end;
        if end == whole {
            if text.len() > MOST_DIGITS {
                return Err(Failure::Unreadable);
            }
            let integer = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
            return Ok(Some(integer.map_or_else(|_| large_number::value(&text), Value::Number)));
        }
        let float: f64 = text.parse().unwrap_or(f64::NAN);
        Ok(Some(Number::from_f64(float).map_or_else(|| large_number::value(&float.to_string()), Value::Number)))
    }

    /// From its opening quote.
    fn string(&mut self) -> Result<String, Failure> {
        let start = self.at;
        let unterminated = refused(start, "Unterminated string starting at");
        self.at += 1;
        let mut string = String::new();
        loop {
            let Some(c) = self.peek() else { return Err(unterminated) };
            self.at += 1;
            match c {
                '"' => return Ok(string),
                '\\' => {
                    let Some(escape) = self.peek() else { return Err(unterminated) };
                    self.at += 1;
                    string.push(self.escaped(escape)?);
                }
                c if c < ' ' => return Err(refused(self.at - 1, "Invalid control character at")),
                c => string.push(c),
            }
        }
    }

    /// The character behind a backslash and `escape`. Half of a pair becomes a replacement character.
    fn escaped(&mut self, escape: char) -> Result<char, Failure> {
        Ok(match escape {
            '"' | '\\' | '/' => escape,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let high = self.hex().ok_or(refused(self.at - 1, "Invalid \\uXXXX escape"))?;
                self.at += 4;
                let is_high = (0xd800..0xdc00).contains(&high);
                if is_high && self.text[self.at..].starts_with(&['\\', 'u']) {
                    self.at += 2;
                    let low = self.hex().ok_or(refused(self.at - 1, "Invalid \\uXXXX escape"))?;
                    if (0xdc00..0xe000).contains(&low) {
                        self.at += 4;
                        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    self.at -= 2;
                }
                char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return Err(refused(self.at - 2, "Invalid \\escape")),
        })
    }

    fn hex(&self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        digits.iter().try_fold(0, |code, digit| Some(code << 4 | digit.to_digit(16)?))
    }

    fn object(&mut self, depth: usize) -> Result<Value, Failure> {
        const NAME: &str = "Expecting property name enclosed in double quotes";
        let mut object = Map::new();
        self.at += 1;
        self.skip_space();
        if self.peek() == Some('}') {
            self.at += 1;
            return Ok(Value::Object(object));
        }
        loop {
            if self.peek() != Some('"') {
                return Err(refused(self.at, NAME));
            }
            let name = self.string()?;
            self.skip_space();
            if self.peek() != Some(':') {
                return Err(refused(self.at, "Expecting ':' delimiter"));
            }
            self.at += 1;
            self.skip_space();
            let value = self.value(depth + 1)?;
            object.insert(name, value);
            self.skip_space();
            match self.peek() {
                Some('}') => break,
                Some(',') => self.at += 1,
                _ => return Err(refused(self.at, "Expecting ',' delimiter")),
            }
            self.skip_space();
        }
        self.at += 1;
        Ok(Value::Object(object))
    }

    fn list(&mut self, depth: usize) -> Result<Value, Failure> {
        let mut list = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(']') {
            self.at += 1;
            return Ok(Value::Array(list));
        }
        loop {
            list.push(self.value(depth + 1)?);
            self.skip_space();
            match self.peek() {
                Some(']') => break,
                Some(',') => self.at += 1,
                _ => return Err(refused(self.at, "Expecting ',' delimiter")),
            }
            self.skip_space();
        }
        self.at += 1;
        Ok(Value::Array(list))
    }
}
