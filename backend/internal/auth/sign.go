package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// Sign returns a token of these claims. The key is a secret ([]byte, HS256), or a private key whose
// type says the algorithm.
func Sign(key any, claims map[string]any) (string, error) {
	var method jwt.SigningMethod
	var err error
	switch k := key.(type) {
	case []byte:
		if len(k) < MinSecretBytes {
			return "", fmt.Errorf("the secret has %d bytes: at least %d are needed", len(k), MinSecretBytes)
		}
		method = jwt.SigningMethodHS256
	case *rsa.PrivateKey:
		method = jwt.SigningMethodRS256
		_, err = algorithmOf(k.Public())
	case *ecdsa.PrivateKey:
		method = jwt.SigningMethodES256
		_, err = algorithmOf(k.Public())
	case ed25519.PrivateKey:
		method = jwt.SigningMethodEdDSA
	default:
		err = fmt.Errorf("a key of type %T can't sign: RSA, ECDSA on P-256 or Ed25519 is needed", key)
	}
	if err != nil {
		return "", err
	}
	return jwt.NewWithClaims(method, jwt.MapClaims(claims)).SignedString(key)
}

// ParsePrivateKey reads a private key (PEM) for Sign.
func ParsePrivateKey(p []byte) (any, error) {
	for block, rest := pem.Decode(p); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "PRIVATE KEY":
			return x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			return x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			return x509.ParseECPrivateKey(block.Bytes)
		}
	}
	return nil, errors.New("there is no private key in it: write it as PEM (-----BEGIN PRIVATE KEY-----)")
}
