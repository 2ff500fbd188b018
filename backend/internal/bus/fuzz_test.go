package bus

import "testing"

// FuzzOpen: what no instance signed is refused, whatever it looks like; what one did is read back
// as it was said, once.
func FuzzOpen(f *testing.F) {
	reader, writer := New([]string{oneSecret}), New([]string{oneSecret})
	f.Add("s1:ABC.1.1700000000000.AAAA payload", "subject")
	f.Add(New([]string{otherSecret}).Seal(Question, "subject", "disconnect"), "subject")
	f.Add("s1:... ", "")
	f.Add("s1:A.-1.9999999999999999999. ", "\x00")
	const most = 1 << 20
	f.Fuzz(func(t *testing.T, sealed, subject string) {
		for _, kind := range []Kind{Announcement, Question, Answer, Overload} {
			if _, err := reader.Open(kind, subject, sealed, most); err == nil {
				t.Errorf("%q is believed about %q", sealed, subject)
			}
		}
		if len(sealed) > most {
			return
		}
		genuine := writer.Seal(Question, subject, sealed)
		if payload, err := reader.Open(Question, subject, genuine, most); err != nil || payload != sealed {
			t.Errorf("%q became %q, %v", sealed, payload, err)
		}
		if _, err := reader.Open(Question, subject, genuine, most); err == nil {
			t.Errorf("%q is believed twice", sealed)
		}
	})
}
