// Command check asks for every case with the client that openapi-generator makes (Go) and prints the typed values.
// Run by scripts/check-clients: check CASES URL. A case is a line: key, id, region or "-".
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	openapi "check/openapi"
)

func main() {
	cases, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for lines := bufio.NewScanner(cases); lines.Scan(); {
		words := strings.Fields(lines.Text())
		configuration := openapi.NewConfiguration()
		configuration.Servers[0].URL = os.Args[2]
		ask := openapi.NewAPIClient(configuration).VerificationAPI.GetVerification(
			context.WithValue(context.Background(), openapi.ContextAccessToken, words[0]), words[1])
		if words[2] != "-" {
			ask = ask.Region(words[2])
		}
		verification, response, err := ask.Execute()
		var failure *openapi.GenericOpenAPIError
		if errors.As(err, &failure) {
			problem := failure.Model().(openapi.Problem)
			fmt.Println(response.StatusCode, problem.Code, problem.Retryable)
		} else if err != nil {
			log.Fatal(err)
		} else {
			show(verification)
		}
	}
}

func show(it *openapi.Verification) {
	reason, face, birthDate, kind := "-", "-", "-", "-"
	if why := it.Reason.Get(); why != nil {
		reason = fmt.Sprintf("%s,%t", why.Code, why.UserCanRetry)
	}
	if it.Checks != nil && it.Checks.Face.Get() != nil && it.Checks.Face.Get().Result.Get() != nil {
		face = string(*it.Checks.Face.Get().Result.Get())
	}
	if it.Identity != nil && it.Identity.BirthDate.Get() != nil {
		birthDate = *it.Identity.BirthDate.Get()
	}
	if len(it.Media) > 0 {
		kind = it.Media[0].Kind
	}
	fmt.Println(200, it.Status, it.Final, reason, face, birthDate, kind)
}
