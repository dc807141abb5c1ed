// Words that are inserted into inputs: pieces of templates, YAML and expressions that parsers often get wrong.
export const WORDS = ['{{ text }}', '|||', '{% for a in range(10**9) %}', '{% endfor %}', '{% set s = s ~ s %}', '{% set s = "aaaa" %}', '{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}', '{{ text | replace("a", text) }}', '{% for a in text.split("") %}', '{{ "a" * 10**9 }}', '{{ [1] * 10**9 }}', '{% if x %}', '{% endif %}', '{{ x[-1] }}', '{{ text | indent(10**8) }}', '{{ "%1000000000d" % 1 }}', '{{ "{:>1000000000}".format(1) }}', '{{ 10**(10**9) }}', '{{ text | center(10**9) }}', '{{ tags | batch(10**9, 1) | list }}', '{% for a in tags recursive %}{{ loop(tags) }}{% endfor %}', '{{ tags.append(tags) }}{{ tags | tojson }}', '{{ text.__class__ }}', '{% call m() %}', '{% filter upper %}', '{{ range(10**30) | list }}', '{{ text | map("upper") | sort }}', '{{ namespace(a=tags).a }}', '(', ')', '[', ']', '{', '}', '{{', '}}', '{%', '%}', '{#', '|', '"', '\ufdd0', '\ufdd1', '\ufdd2', '\ufdd3']; // prettier-ignore
export const YAML = ['&a [*a,*a]', '<<: *a', '*a', '&a', '!!set', '!Template', '!!python/object:os.system', '- ', ': ', '? ', '|\n', '>\n', '---\n', '%YAML 1.1\n', '[', '{', "'", '"', '#', '\t', 'a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]\n']; // prettier-ignore
export const EXPRESSIONS = [
  '(a+)+$',
  '(?i)[^a&&[b-z]]',
  '(?<=a)b(?!c)',
  '\\p{L}++',
  '(?:\\s*)*x',
  '\\s+',
  ' {2,}',
  '(',
  '[',
  'a{1,99999}',
  '.*.*.*.*x',
];
