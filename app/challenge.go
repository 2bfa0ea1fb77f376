package app

import (
	"context"
	"fmt"
	"time"

	"menshen/config"
	"menshen/model"
	"menshen/repository"
	"menshen/service/challenge"
	"menshen/service/code"
)

// newChallenge returns nil if no challenge is configured.
func newChallenge(cfg config.Challenge, res *Resources, now func() time.Time) (*code.Challenge, error) {
	puzzles := &challenge.Pow{
		Sign: res.Vault.SignPuzzle, Signed: res.Vault.PuzzleSigned, Spend: repository.Puzzles{DB: res.DB}.Spend,
		Sent: func(ctx context.Context, block string, since model.Time) (int, error) {
			return repository.Codes{DB: res.DB}.CountSince(ctx, model.SendScope{BlockKey: block}, since)
		},
	}
	vendors, err := newChallengers(cfg, puzzles, now)
	if err != nil || len(vendors) == 0 {
		return nil, err
	}
	return &code.Challenge{Vendors: vendors, Timeout: cfg.Timeout, FailOpen: cfg.FailOpen, OnChallenge: res.alarms.Challenge}, nil
}

// newChallengers returns the configured providers in order of preference.
func newChallengers(c config.Challenge, puzzles *challenge.Pow, now func() time.Time) (vendors []code.ChallengeVendor, err error) {
	for _, name := range c.InUse() {
		v := code.ChallengeVendor{Name: name}
		switch name {
		case config.ChallengeTurnstile:
			t := c.OfTurnstile()
			verifier, made := challenge.NewTurnstile(t.URL, model.Secret(t.Secret))
			verifier.Hostnames, verifier.Action = t.Hostnames, t.Action
			v.SiteKey, v.Challenger, err = t.SiteKey, verifier, made
		case config.ChallengeHCaptcha:
			verifier, made := challenge.NewHCaptcha(c.HCaptcha.URL, model.Secret(c.HCaptcha.Secret), c.HCaptcha.SiteKey)
			verifier.Hostnames = c.HCaptcha.Hostnames
			v.SiteKey, v.Challenger, err = c.HCaptcha.SiteKey, verifier, made
		case config.ChallengeReCAPTCHA:
			verifier, made := challenge.NewReCAPTCHA(c.ReCAPTCHA.URL, model.Secret(c.ReCAPTCHA.Secret))
			verifier.Hostnames, verifier.Action = c.ReCAPTCHA.Hostnames, c.ReCAPTCHA.Action
			v.SiteKey, v.Challenger, err = c.ReCAPTCHA.SiteKey, verifier, made
		case config.ChallengeGeeTest:
			v.SiteKey = c.GeeTest.SiteKey
			v.Challenger, err = challenge.NewGeeTest(c.GeeTest.URL, c.GeeTest.SiteKey, model.Secret(c.GeeTest.CaptchaKey))
		case config.ChallengeAliyun:
			v.SiteKey = c.Aliyun.SiteKey
			v.Challenger, err = challenge.NewAliyun(c.Aliyun.URL, challenge.AliyunKeys{
				AccessKeyID: c.Aliyun.AccessKeyID, AccessKeySecret: model.Secret(c.Aliyun.AccessKeySecret), SceneID: c.Aliyun.SceneID,
			}, now)
		case config.ChallengeTencent:
			v.SiteKey = c.Tencent.SiteKey
			v.Challenger, err = challenge.NewTencent(c.Tencent.URL, challenge.TencentKeys{
				SecretID: c.Tencent.SecretID, SecretKey: model.Secret(c.Tencent.SecretKey),
				AppID: c.Tencent.SiteKey, AppSecretKey: model.Secret(c.Tencent.AppSecretKey),
			}, now)
		case config.ChallengePow:
			v.Challenger = puzzles
		default:
			err = fmt.Errorf("challenge.providers: %s has no verifier", name)
		}
		if err != nil {
			return nil, err
		}
		vendors = append(vendors, v)
	}
	return vendors, nil
}
