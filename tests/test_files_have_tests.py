"""Each file of the product has its test: `sidecar/x/y.py` has `tests/sidecar/x/test_y.py`.

The table names the tests of the files that are tested together with others, or from outside.
"""

from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTED_ELSEWHERE = """
pipelines/choosing.py                            pipelines/test_rescore.py
pipelines/errors.py                              pipelines/test_rescore.py
pipelines/fusion_methods.py                      pipelines/test_methods.py
pipelines/hits.py                                pipelines/test_documents.py
pipelines/kendra_passages.py                     pipelines/test_kendra_text.py
pipelines/passage_methods.py                     pipelines/test_methods.py
pipelines/plan.py                                sidecar/config_reading/test_config_files.py
pipelines/relevance.py                           pipelines/test_hit_details.py
pipelines/reports.py                             pipelines/test_rescore.py
pipelines/sentence_passages.py                   pipelines/test_passages.py
pipelines/strict.py                              sidecar/config_reading/test_config_files.py
pipelines/texts.py                               pipelines/test_documents.py
sidecar/adoption/ubi_queries.py                  end_to_end/test_adoption_through_proxy.py
sidecar/api/call_traces.py                       sidecar/tracing/test_open_telemetry.py
sidecar/api/connection.py                        end_to_end/test_api_connections.py
sidecar/api/listener.py                          end_to_end/test_api_listener.py
sidecar/api/request_body.py                      end_to_end/test_api_bodies.py
sidecar/api/root_service.py                      sidecar/api/test_doors.py
sidecar/api/server.py                            end_to_end/test_api_bodies.py
sidecar/app.py                                   sidecar/test_cli.py
sidecar/aws/errors.py                            sidecar/kendra_ranking/test_errors.py
sidecar/aws/requests.py                          end_to_end/test_api_bodies.py
sidecar/commands/both_orders.py                  sidecar/commands/test_evaluate.py
sidecar/commands/in_process.py                   sidecar/commands/test_evaluate.py
sidecar/commands/init.py                         end_to_end/test_first_configuration.py
sidecar/commands/judged_queries.py               sidecar/commands/test_evaluate.py
sidecar/commands/kendra_index.py                 kendra/test_start.py
sidecar/commands/ubi_indexes.py                  end_to_end/test_ubi.py
sidecar/commands/warm.py                         end_to_end/test_warm.py
sidecar/commands/warm_runs.py                    end_to_end/test_warm.py
sidecar/config/addresses.py                      sidecar/config_reading/test_config_files.py
sidecar/config/adoption.py                       end_to_end/test_adoption_through_proxy.py
sidecar/config/kendra_attributes.py              sidecar/config/test_kendra.py
sidecar/config/kendra_users.py                   sidecar/config/test_kendra.py
sidecar/config/limits.py                         sidecar/config_reading/test_config_files.py
sidecar/config/logs.py                           sidecar/test_log_output.py
sidecar/config/main_file.py                      sidecar/config_reading/test_config_files.py
sidecar/config/models.py                         sidecar/config_reading/test_config_files.py
sidecar/config/page.py                           sidecar/page/test_handlers.py
sidecar/config/passage_store.py                  sidecar/models/shared_store/test_connecting.py
sidecar/config/ray.py                            sidecar/ray/test_deployment.py
sidecar/config/resigning.py                      end_to_end/test_resigning.py
sidecar/config/routes.py                         sidecar/adoption/test_split.py
sidecar/config/upstream_values.py                sidecar/opensearch/test_pipelines.py
sidecar/config_reading/config_checks.py          sidecar/config_reading/test_config_files.py
sidecar/config_reading/config_messages.py        sidecar/config_reading/test_config_files.py
sidecar/config_reading/yaml_files.py             sidecar/config_reading/test_config_files.py
sidecar/cores.py                                 sidecar/workers/test_parent.py
sidecar/demo/errors.py                           sidecar/demo/test_load.py
sidecar/demo/index.py                            sidecar/demo/test_load.py
sidecar/evaluation/explanation.py                sidecar/commands/test_explain.py
sidecar/evaluation/files.py                      sidecar/evaluation/test_judgments.py
sidecar/evaluation/live_report.py                end_to_end/test_ubi.py
sidecar/evaluation/report.py                     sidecar/commands/test_evaluate.py
sidecar/evaluation/tuning_report.py              sidecar/commands/test_tune.py
sidecar/event_loop/stacks.py                     sidecar/event_loop/test_loop_watch.py
sidecar/expiring_cache.py                        sidecar/opensearch/test_window_cache.py
sidecar/first_configuration/cluster_reading.py   end_to_end/test_first_configuration.py
sidecar/first_configuration/field_names.py       sidecar/first_configuration/test_field_choice.py
sidecar/first_configuration/field_values.py      sidecar/first_configuration/test_field_choice.py
sidecar/first_configuration/proposal.py          sidecar/first_configuration/test_yaml_text.py
sidecar/first_configuration/proposing.py         end_to_end/test_first_configuration.py
sidecar/fronts.py                                end_to_end/test_reload.py
sidecar/health.py                                end_to_end/test_api_listener.py
sidecar/kendra/answering/answers.py              sidecar/kendra/answering/test_ranking.py
sidecar/kendra/answering/faq_choice.py           sidecar/kendra/answering/test_ranking.py
sidecar/kendra/answering/items.py                kendra/test_reply_shapes.py
sidecar/kendra/answering/marking.py              kendra/test_text.py
sidecar/kendra/answering/query_reply.py          kendra/test_query.py
sidecar/kendra/asking/faq.py                     sidecar/kendra/answering/test_ranking.py
sidecar/kendra/asking/featured.py                kendra/test_query.py
sidecar/kendra/door.py                           kendra/test_start.py
sidecar/kendra/handlers.py                       kendra/test_errors.py
sidecar/kendra/indexes/found_documents.py        sidecar/kendra/answering/test_ranking.py
sidecar/kendra/indexes/served_index.py           sidecar/kendra/test_searches.py
sidecar/kendra/tables/tables.py                  sidecar/kendra/tables/test_text_tables.py
sidecar/kendra_ranking/allowance.py              sidecar/kendra_ranking/test_plans.py
sidecar/kendra_ranking/database.py               sidecar/kendra_ranking/test_store.py
sidecar/kendra_ranking/door.py                   sidecar/api/test_doors.py
sidecar/kendra_ranking/handlers.py               sidecar/kendra_ranking/test_operations.py
sidecar/metrics.py                               test_docs.py
sidecar/models/backends/base.py                  sidecar/models/test_scorer_contract.py
sidecar/models/backends/fake.py                  sidecar/models/test_scorer_contract.py
sidecar/models/backends/onnx.py                  sidecar/models/test_scorer_contract.py
sidecar/models/backends/openvino.py              sidecar/models/test_scorer_contract.py
sidecar/models/backends/piece_rules.py           sidecar/models/students/test_word_pieces.py
sidecar/models/backends/processor.py             sidecar/models/test_verdicts.py
sidecar/models/backends/readable.py              sidecar/models/test_scorers.py
sidecar/models/backends/sentence_transformers.py sidecar/models/test_scorer_contract.py
sidecar/models/inventory.py                      sidecar/commands/test_models.py
sidecar/models/package_files.py                  sidecar/models/test_sources.py
sidecar/models/pair_scorer.py                    sidecar/models/test_scorers.py
sidecar/models/preloading.py                     sidecar/workers/test_parent.py
sidecar/models/preparation.py                    sidecar/models/test_verdicts.py
sidecar/models/preparing/answer_graph.py         sidecar/models/preparing/test_transformer_graph.py
sidecar/models/preparing/errors.py               sidecar/models/preparing/test_original.py
sidecar/models/preparing/graph_files.py          sidecar/models/preparing/test_worker.py
sidecar/models/preparing/onnx_source.py          sidecar/models/preparing/test_original.py
sidecar/models/preparing/published.py            sidecar/models/preparing/test_original.py
sidecar/models/preparing/quantised_graph.py      sidecar/models/preparing/test_original.py
sidecar/models/preparing/torch_graphs.py         sidecar/models/preparing/test_original.py
sidecar/models/preparing/torch_original.py       sidecar/models/preparing/test_original.py
sidecar/models/preparing/weights.py              sidecar/models/preparing/test_transformer_graph.py
sidecar/models/query_vectors.py                  sidecar/models/test_scorers.py
sidecar/models/remote/service_tls.py             sidecar/models/remote/test_service_client.py
sidecar/models/search_scorer.py                  sidecar/models/test_scorers.py
sidecar/models/students/worker.py                sidecar/models/students/test_teaching_process.py
sidecar/models/text_scorer.py                    sidecar/models/test_scorers.py
sidecar/models/vectors.py                        sidecar/models/test_scorers.py
sidecar/opensearch/answer_rescoring.py           sidecar/opensearch/test_search.py
sidecar/opensearch/callers.py                    sidecar/opensearch/test_window_cache.py
sidecar/opensearch/exchange.py                   sidecar/opensearch/test_search.py
sidecar/opensearch/interleaved_rescoring.py      end_to_end/test_adoption_through_proxy.py
sidecar/opensearch/multi_search_answer.py        sidecar/opensearch/test_multi_search.py
sidecar/opensearch/outcome.py                    sidecar/opensearch/test_search.py
sidecar/opensearch/own_sources.py                end_to_end/test_two_steps_through_proxy.py
sidecar/opensearch/scorer_in_turns.py            end_to_end/test_sure_pages_through_proxy.py
sidecar/opensearch/search_template.py            end_to_end/test_templates_through_proxy.py
sidecar/opensearch/shadow_search.py              end_to_end/test_adoption_through_proxy.py
sidecar/opensearch/skip_reasons.py               sidecar/opensearch/test_search_request.py
sidecar/opensearch/url_options.py                sidecar/opensearch/test_search_parameters.py
sidecar/opensearch/widened_search.py             sidecar/opensearch/test_refusals.py
sidecar/opensearch_rules/ext_sections.py         sidecar/kendra_plugin/test_section.py
sidecar/opensearch_rules/limits.py               sidecar/opensearch/test_search_request.py
sidecar/opensearch_rules/request_headers.py      sidecar/opensearch/test_search_request.py
sidecar/page/collection.py                       sidecar/page/test_parts.py
sidecar/page/door.py                             sidecar/page/test_handlers.py
sidecar/page/gate.py                             sidecar/page/test_handlers.py
sidecar/page/hit_texts.py                        sidecar/page/test_parts.py
sidecar/page/links.py                            sidecar/page/test_parts.py
sidecar/page/lists.py                            sidecar/page/test_handlers.py
sidecar/page/live_samples.py                     sidecar/page/test_parts.py
sidecar/page/page_search.py                      sidecar/page/test_handlers.py
sidecar/page/plan_texts.py                       sidecar/page/test_parts.py
sidecar/page/reason_fixes.py                     sidecar/page/test_parts.py
sidecar/page/recording.py                        sidecar/page/test_handlers.py
sidecar/page/refusals.py                         sidecar/page/test_handlers.py
sidecar/page/requests.py                         sidecar/page/test_handlers.py
sidecar/page/static_files.py                     sidecar/page/test_handlers.py
sidecar/page/window_parts.py                     browser/test_modules.py
sidecar/pipeline_check.py                        end_to_end/test_search_pipelines_through_proxy.py
sidecar/process_secret.py                        sidecar/workers/test_keeping.py
sidecar/ray/replica.py                           sidecar/ray/test_service.py
sidecar/relay/acceptor.py                        traps/test_descriptors.py
sidecar/relay/admission.py                       sidecar/relay/test_client_limits.py
sidecar/relay/client_ending.py                   sidecar/relay/test_client_connection.py
sidecar/relay/counts.py                          sidecar/relay/test_forwarded_request.py
sidecar/relay/descriptors.py                     traps/test_descriptors.py
sidecar/relay/errors.py                          sidecar/relay/test_upstream_pool.py
sidecar/relay/field_lines.py                     sidecar/relay/test_heads.py
sidecar/relay/keep_alive.py                      sidecar/relay/test_time_limits.py
sidecar/relay/serving.py                         end_to_end/test_reload.py
sidecar/relay/shared.py                          sidecar/relay/test_listener.py
sidecar/relay/silence_timer.py                   sidecar/relay/test_time_limits.py
sidecar/relay/upstream_node.py                   sidecar/relay/test_upstream_pool.py
sidecar/reloading/file_watch.py                  end_to_end/test_reload.py
sidecar/rerank/bearer_gate.py                    sidecar/rerank/test_bearer_paths.py
sidecar/rerank/body.py                           sidecar/rerank/test_bearer_paths.py
sidecar/rerank/cohere.py                         sidecar/rerank/test_golden.py
sidecar/rerank/door.py                           sidecar/api/test_doors.py
sidecar/rerank/embedder.py                       sidecar/rerank/test_embedding_paths.py
sidecar/rerank/embedding_forms.py                sidecar/rerank/test_embedding_paths.py
sidecar/rerank/errors.py                         sidecar/rerank/test_golden.py
sidecar/rerank/infinity.py                       sidecar/rerank/test_golden.py
sidecar/rerank/jina.py                           sidecar/rerank/test_golden.py
sidecar/rerank/nvidia.py                         sidecar/rerank/test_golden.py
sidecar/rerank/pair_scores.py                    sidecar/rerank/test_score_paths.py
sidecar/rerank/refusals.py                       sidecar/rerank/test_request.py
sidecar/rerank/tei.py                            sidecar/rerank/test_golden.py
sidecar/rerank/tencent.py                        sidecar/rerank/test_tencent_service.py
sidecar/rerank/vllm.py                           sidecar/rerank/test_golden.py
sidecar/rerank/voyage.py                         sidecar/rerank/test_golden.py
sidecar/resigning/client_check.py                end_to_end/test_resigning.py
sidecar/resigning/credentials.py                 end_to_end/test_resigning.py
sidecar/resigning/front.py                       end_to_end/test_resigning.py
sidecar/resigning/own_calls.py                   end_to_end/test_resigning.py
sidecar/resigning/signer.py                      end_to_end/test_resigning.py
sidecar/screen.py                                sidecar/commands/test_explain.py
sidecar/served_doors.py                          end_to_end/test_api_listener.py
sidecar/shared_store_metrics.py                  sidecar/models/shared_store/test_shared_vectors.py
sidecar/tallied_metrics.py                       sidecar/opensearch/test_search_reports.py
sidecar/tracing/span_attributes.py               sidecar/tracing/test_open_telemetry.py
sidecar/tracing/span_export.py                   sidecar/tracing/test_open_telemetry.py
sidecar/tracing/timed_exchanger.py               sidecar/tracing/test_open_telemetry.py
sidecar/upstream_check.py                        end_to_end/test_upstream_check.py
sidecar/warming/changed_documents.py             end_to_end/test_warm.py
sidecar/warming/index_reading.py                 end_to_end/test_warm.py
sidecar/warming/progress.py                      end_to_end/test_warm.py
sidecar/warming/warming.py                       end_to_end/test_warm.py
sidecar/workers/forking.py                       sidecar/workers/test_keeping.py
sidecar/workers/sharing.py                       sidecar/workers/test_parent.py
sidecar/workers/template.py                      sidecar/workers/test_keeping.py
"""


def elsewhere() -> dict[str, str]:
    pairs = [line.split() for line in TESTED_ELSEWHERE.strip().splitlines()]
    assert len(pairs) == len({file for file, _ in pairs}), "a file is in the table twice"
    return {file: f"tests/{test}" for file, test in pairs}


def test_each_file_has_its_test_or_is_in_the_table() -> None:
    without = {
        str(path.relative_to(ROOT))
        for top in ("pipelines", "sidecar")
        for path in (ROOT / top).rglob("*.py")
        if not path.name.startswith("__")
        and not (ROOT / "tests" / path.relative_to(ROOT).with_name(f"test_{path.name}")).exists()
    }
    assert without == elsewhere().keys()


def test_the_table_names_tests_that_exist() -> None:
    missing = {test for test in elsewhere().values() if not (ROOT / test).exists()}
    assert not missing
