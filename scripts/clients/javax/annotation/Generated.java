package javax.annotation;

/** Stands in for the annotation that the generated code carries; a build with Maven takes it from the generated pom.xml. */
public @interface Generated {
    String value();

    String date() default "";

    String comments() default "";
}
