//! A scanner for JSON of the plainest kind: objects and lists, texts of printable ASCII without escapes. Whatever else
//! JSON may hold is not read, which is no error: somebody else reads it.

/// Of a whole number; one of so many fits 64 bits.
const NUMBER_DIGITS_MAX: usize = 18;

/// Where reading stands.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where reading stands, to come back to.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    /// Reads again from there.
    pub(crate) fn go_back(&mut self, place: usize) {
        self.at = place;
    }

    /// The next byte that is no blank, which stays to be read.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Reads this byte, or nothing.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// A text.
    #[inline]
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let rest = &self.bytes[self.at..];
        let length =
            rest.iter().position(|byte| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\'))?;
        let text = str::from_utf8(&rest[..length]).ok()?;
        self.at += length;
        (self.bytes[self.at] == b'"').then(|| self.at += 1)?;
        Some(text)
    }

    /// A text, or the digits of a whole number.
    #[inline]
    pub(crate) fn text_or_number(&mut self) -> Option<&'a str> {
        if self.peek()? == b'"' {
            return self.text();
        }
        let rest = &self.bytes[self.at..];
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = str::from_utf8(&rest[..length]).ok()?;
        let is_plain = (1..=NUMBER_DIGITS_MAX).contains(&length) && (length == 1 || rest[0] != b'0');
        self.at += length;
        is_plain.then_some(digits)
    }

    /// An object of at least one member: each key is told, and its value is to be read then.
    #[inline]
    pub(crate) fn object(&mut self, mut member: impl FnMut(&'a str, &mut Self) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        loop {
            let key = self.text()?;
            self.take(b':')?;
            member(key, self)?;
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
        }
    }

    /// A list of at least one element, each to be read when it is its turn.
    #[inline]
    pub(crate) fn list(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(b'[')?;
        loop {
            element(self)?;
            if self.take(b',').is_none() {
                return self.take(b']');
            }
        }
    }

    /// Nothing but blanks is left.
    pub(crate) fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }
}

/// Keeps a member's value; nothing when it is there already.
#[inline]
pub(crate) fn keep<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Option<Vec<(&str, &str)>> {
        let mut scanner = Scanner::new(text.as_bytes());
        let mut found = Vec::new();
        scanner.object(|key, scanner| {
            found.push((key, scanner.text()?));
            Some(())
        })?;
        scanner.end()?;
        Some(found)
    }

    #[test]
    fn plain_objects_are_read_with_blanks_between() {
        assert_eq!(members("{\"a\":\"1\"}"), Some(vec![("a", "1")]));
        assert_eq!(members(" {\t\"a\" :\r\n\"1\" , \"b\":\"\"} \n"), Some(vec![("a", "1"), ("b", "")]));
    }

    #[test]
    fn numbers_are_read_where_they_may_stand() {
        let read = |text| Scanner::new(text).text_or_number();
        assert_eq!(read(b" 17}"), Some("17"));
        assert_eq!(read(b"\"17\""), Some("17"));
        assert_eq!((read(b"0,"), read(b"00"), read(b"-1"), read(b"")), (Some("0"), None, None, None));
        assert_eq!((read(b"true"), read(b"1234567890123456789")), (None, None));
        for text in [&b"{\"a\":1.5}"[..], b"{\"a\":1e3}", b"{\"a\":1 2}"] {
            assert_eq!(Scanner::new(text).object(|_, value| value.text_or_number().map(drop)), None);
        }
    }

    #[test]
    fn whatever_else_is_left_to_others() {
        for text in [
            "",
            "{",
            "{}",
            "{\"a\"}",
            "{\"a\":1}",
            "{\"a\":\"1\",}",
            "{\"a\":\"1\"}}",
            "{\"a\":\"1\"} x",
            "{\"a\":\"\\u0031\"}",
            "{\"a\":\"ü\"}",
            "{\"a\":\"1",
            "{\"a\":\"1\n\"}",
            "[\"a\"]",
            "\u{feff}{\"a\":\"1\"}",
            "{\"a\":\"1\"\"b\":\"2\"}",
        ] {
            assert_eq!(members(text), None, "{text}");
        }
    }
}
