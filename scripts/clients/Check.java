// Asks for every case with the client that openapi-generator makes (Java, library native) and prints the typed values.
// Run by scripts/check-clients: java Check CASES URL. A case is a line: key, id, region or "-".

import java.nio.file.Files;
import java.nio.file.Path;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.VerificationApi;
import org.openapitools.client.model.Problem;
import org.openapitools.client.model.Verification;

public final class Check {
    public static void main(String[] args) throws Exception {
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] words = line.split(" ");
            ApiClient client = new ApiClient();
            client.updateBaseUri(args[1]);
            client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + words[0]));
            String region = words[2].equals("-") ? null : words[2];
            try {
                show(new VerificationApi(client).getVerification(words[1], region, null, null, null, null));
            } catch (ApiException failure) {
                show(client.getObjectMapper().readValue(failure.getResponseBody(), Problem.class), failure.getCode());
            }
        }
    }

    private static void show(Verification it) {
        boolean hasFace = it.getChecks() != null && it.getChecks().getFace() != null && it.getChecks().getFace().getResult() != null;
        boolean hasBirthDate = it.getIdentity() != null && it.getIdentity().getBirthDate() != null;
        boolean hasMedia = it.getMedia() != null && !it.getMedia().isEmpty();
        System.out.println(String.join(" ", "200", it.getStatus().getValue(), String.valueOf(it.getFinal()),
            it.getReason() == null ? "-" : it.getReason().getCode() + "," + it.getReason().getUserCanRetry(),
            hasFace ? it.getChecks().getFace().getResult().getValue() : "-",
            hasBirthDate ? it.getIdentity().getBirthDate().toString() : "-",
            hasMedia ? it.getMedia().get(0).getKind() : "-"));
    }

    private static void show(Problem it, int status) {
        System.out.println(status + " " + it.getCode() + " " + it.getRetryable());
    }
}
