package logging

import (
	"errors"
	"net/url"
)

// URL is a URL as it may be logged: without the login and the query, which can hold secrets. What
// is none is returned as it is.
func URL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return text
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// WithoutURL is the error of a request as it may be logged: net/http's tells the whole URL.
func WithoutURL(err error) error {
	if request := new(url.Error); errors.As(err, &request) {
		return request.Err
	}
	return err
}
